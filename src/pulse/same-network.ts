export { sameNetwork } from '../wire/same-network.ts';
