import type { IpAddress } from '../wire/ip-address.ts';

/** Where QEMU listens for, or sends, a migration (qapi/migration.json, MigrationAddress by URI). */
export function formatUri(address: IpAddress, port: number): string {
  return address.family === 4 ? `tcp:${address}:${port}` : `tcp:[${address}]:${port}`;
}
