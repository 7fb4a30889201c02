/**
 * Which accelerator a guest really runs on here. That /dev/kvm exists says little: inside some virtual machines firmware runs
 * on it and an ordinary kernel hangs. So the guest itself is booted and has to show that it lives.
 */
import { spawn } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import type { Milliseconds } from '../base/units.ts';
import type { Accelerator } from '../model/vm.ts';

export interface AcceleratorProbe {
  readonly kernel: string;
  readonly initrd: string;
  /** What the guest writes to its serial console (ttyS0) when it is up. */
  readonly signOfLife: string;
  /** For the boot on KVM; a guest that boots at all needs a second or two. */
  readonly timeout: Milliseconds;
}

export interface AcceleratorFound {
  readonly accelerator: Accelerator;
  /** One line for people. */
  readonly reason: string;
}

/** Never fails: what goes wrong is the reason for `tcg`. Leaves no QEMU behind. */
export async function probeAccelerator(probe: AcceleratorProbe): Promise<AcceleratorFound> {
  try {
    await access('/dev/kvm', constants.R_OK | constants.W_OK);
  } catch {
    return { accelerator: 'tcg', reason: '/dev/kvm is missing or not ours to use' };
  }
  const failure = await boot(probe);
  return failure === undefined
    ? { accelerator: 'kvm', reason: 'a guest booted on KVM' }
    : { accelerator: 'tcg', reason: `a guest did not boot on KVM: ${failure}` };
}

/** Undefined when the guest lives; else why not. */
function boot({ kernel, initrd, signOfLife, timeout }: AcceleratorProbe): Promise<string | undefined> {
  const machine = ['-machine', 'q35', '-accel', 'kvm', '-cpu', 'host', '-m', '256', '-display', 'none', '-nodefaults', '-no-user-config'];
  const guest = ['-no-reboot', '-serial', 'stdio', '-kernel', kernel, '-initrd', initrd, '-append', 'console=ttyS0'];
  const qemu = spawn('qemu-system-x86_64', [...machine, ...guest], { stdio: ['ignore', 'pipe', 'pipe'] });
  return new Promise((resolve) => {
    let failure: string | undefined = 'QEMU ended';
    let console = '';
    let complaint = '';
    const end = (why: string | undefined): void => {
      failure = why;
      qemu.kill('SIGKILL');
    };
    const timer = setTimeout(() => end(`no sign of life within ${timeout} ms`), timeout);
    qemu.stdout.setEncoding('utf8').on('data', (text: string) => {
      // Enough of what came before to find a sign cut in two.
      console = console.slice(-signOfLife.length) + text;
      if (console.includes(signOfLife)) end(undefined);
    });
    qemu.stderr.setEncoding('utf8').on('data', (text: string) => (complaint = (complaint + text).slice(0, 300)));
    qemu.on('error', (error) => (failure = error.message));
    // After its end and that of its output; also after an 'error' at the start.
    qemu.on('close', () => {
      clearTimeout(timer);
      resolve(failure === 'QEMU ended' && complaint !== '' ? complaint.trim().replaceAll(/\s+/g, ' ') : failure);
    });
  });
}
