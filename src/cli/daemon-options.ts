/** What `godwit init`, `server`, `agent`, `agent join` and `lab` were asked for: passed on to control/, agent/ and lab/ as it is. */

/** HOST:PORT; an IPv6 address in brackets. An empty host is every address. */
export interface ListenAddress {
  readonly host: string;
  /** 1..65535 */
  readonly port: number;
}

export interface InitOptions {
  readonly stateDir: string;
  /** Of the cluster, in its CA's certificate. */
  readonly name?: string;
  /** Names and addresses under which agents and administrators reach the server: they go into its certificate. */
  readonly listen: readonly ListenAddress[];
}

export interface ServerOptions {
  readonly stateDir: string;
  readonly runDir: string;
  /** Without one only the unix socket in `runDir` is open. */
  readonly listen?: ListenAddress;
}

export interface AgentOptions {
  readonly stateDir: string;
  readonly runDir: string;
}

export interface JoinOptions {
  /** Of the server, https. */
  readonly url: string;
  readonly token: string;
  /** Of this host. */
  readonly name: string;
  /** Of this host on the network that carries migrations. */
  readonly address: string;
  readonly stateDir: string;
  readonly peerPort?: number;
}

export interface LabOptions {
  readonly hosts: number;
}

/** Each resolves when its work is done, the daemons' when they were told to end; all fail with GodwitError. */
export interface Daemons {
  init(options: InitOptions): Promise<unknown>;
  server(options: ServerOptions): Promise<unknown>;
  agent(options: AgentOptions): Promise<unknown>;
  join(options: JoinOptions): Promise<unknown>;
  labUp(options: LabOptions): Promise<unknown>;
  labDown(): Promise<unknown>;
}

export const defaultStateDir = '/var/lib/godwit';
export const defaultRunDir = '/run/godwit';
/** Of the server. */
export const defaultPort = 7443;
