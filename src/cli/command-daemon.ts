/** `godwit init`, `server`, `agent`, `agent join`: words into options; the work is control/'s and agent/'s. */
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { nameRule } from '../model/resource.ts';
import { usageError } from './cli-error.ts';
import type { JoinOptions, ListenAddress } from './daemon-options.ts';

/** `host:port`, `[::1]:port`, or `:port` for every address. Throws CLI_USAGE. */
export function parseListen(text: string): ListenAddress {
  const [, bracketed, plain, port] = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text) ?? [];
  if (port === undefined || (bracketed !== undefined && isIP(bracketed) !== 6)) {
    throw usageError(`${JSON.stringify(text)} is no address to listen on: write HOST:PORT, [IPV6]:PORT or :PORT`);
  }
  return { host: bracketed ?? plain ?? '', port: parsePort(port) };
}

/** Throws CLI_USAGE. */
export function parsePort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65535) throw usageError(`${JSON.stringify(text)} is no port: 1 to 65535`);
  return port;
}

export interface JoinWords {
  readonly token: string;
  readonly address: string;
  readonly name?: string | undefined;
  readonly peerPort?: string | undefined;
  readonly stateDir: string;
}

/** Throws CLI_USAGE. */
export function joinOptions(url: string, { token, address, name, peerPort, stateDir }: JoinWords): JoinOptions {
  if (URL.parse(url)?.protocol !== 'https:') {
    throw usageError(`${JSON.stringify(url)} is no server's address: write it like https://10.0.0.1:7443`);
  }
  if (isIP(address) === 0) {
    const wanted = "give this host's own on the network that carries migrations";
    throw usageError(`--address ${JSON.stringify(address)} is no IP address: ${wanted}`);
  }
  // The label before the first dot: what `hostname -s` says.
  const called = name ?? (hostname().split('.')[0] ?? '').toLowerCase();
  if (!new RegExp(nameRule.pattern).test(called)) {
    throw usageError(`${JSON.stringify(called)} is no name for a host: ${nameRule.description}; give one by --name`);
  }
  return {
    url, token, address, stateDir, name: called,
    ...(peerPort === undefined ? {} : { peerPort: parsePort(peerPort) }),
  };
}

/** Throws CLI_USAGE. */
export function parseHosts(text: string): number {
  const hosts = /^\d{1,2}$/.test(text) ? Number(text) : 0;
  if (hosts < 1 || hosts > 16) throw usageError(`--hosts ${text}: 1 to 16`);
  return hosts;
}
