/** Run in a host's network namespace: carries what comes in at a unix socket on to HOST PORT, byte for byte, both ways. */
import { connect, createServer } from 'node:net';

const [, , path, host, port] = process.argv;
createServer({ allowHalfOpen: true }, (client) => {
  const server = connect({ host: host ?? '', port: Number(port), allowHalfOpen: true });
  client.on('error', () => server.destroy()).on('close', () => server.destroy()).pipe(server);
  server.on('error', () => client.destroy()).on('close', () => client.destroy()).pipe(client);
}).listen(path, () => process.stdout.write('ready\n'));
