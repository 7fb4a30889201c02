import { QmpMemory } from '../../../src/vm/qmp-memory.ts';
import { QmpClient } from '../../../src/vm/qmp.ts';
import { qmpContract } from '../../contract/qmp.ts';

qmpContract('double', async () => {
  const server = new QmpMemory();
  return { qmp: await QmpClient.open(server.transport), end: async () => server.close() };
});
