/** Errors of the kernel by name: what both implementations throw. */
import { constants } from 'node:os';
import { getSystemErrorMessage, getSystemErrorName } from 'node:util';
import { SystemError } from './native.ts';

/** Numbers of errno(3), by name. */
export const errno = constants.errno;

/** EBADFD, of asm-generic/errno.h: what a tap answers once its device is deleted. Node has no name for it. */
export const EBADFD = 77;

/** The error of a call that failed with `number` (positive); `call` says which, on what. */
export function systemError(call: string, number: number): SystemError {
  if (number === EBADFD) return new SystemError(call, number, 'EBADFD', 'file descriptor in bad state');
  return new SystemError(call, number, getSystemErrorName(-number), getSystemErrorMessage(-number));
}
