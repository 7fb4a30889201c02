/** The words of the BFD machine (`bfd.ts`): what it is told, what it asks for, and what it remembers. */
import { type Milliseconds, ms } from '../base/units.ts';
import type { BfdControl, BfdDiagnostic, BfdPhase } from '../wire/bfd.ts';
import { type Silence, silenceDeadline } from './bfd-silence.ts';
import type { Negotiation } from './bfd-timers.ts';

export interface BfdSettings {
  /** While Up; otherwise 1 s if that is more. At least 1 µs. */
  readonly desiredMinTx: Milliseconds;
  /** At least 1 µs: a session that hears nothing detects nothing. */
  readonly requiredMinRx: Milliseconds;
  /** 1..255 */
  readonly detectMult: number;
  /** How often it would have the other side loop its echoes back; absent: never. Not over several hops (RFC 5883 §3). */
  readonly echo?: Milliseconds | undefined;
  /** The shortest interval at which this host loops the other side's echoes back; 0: it does not. */
  readonly requiredMinEchoRx: Milliseconds;
}

export const NEVER: Milliseconds = ms(Infinity);

/** A control packet that the codec (wire/bfd.ts) let through. */
export interface HeardControl {
  readonly control: BfdControl;
  /** Of its authentication, where that has one. */
  readonly sequence: number | undefined;
  /** When it came in. */
  readonly at: Milliseconds;
}

export interface HeardEcho {
  readonly sequence: number;
  /** When this host sent it, and when it came back. */
  readonly sent: Milliseconds;
  readonly at: Milliseconds;
}

export type BfdEvent =
  | { readonly kind: 'control'; readonly heard: HeardControl }
  | { readonly kind: 'echo'; readonly heard: HeardEcho }
  /** The sockets are drained. Before its deadline it changes nothing. */
  | { readonly kind: 'expire' }
  | { readonly kind: 'settings'; readonly settings: BfdSettings }
  /** §6.8.16. `because` is for this host's people: the packet says only that. */
  | { readonly kind: 'disable'; readonly because: string }
  | { readonly kind: 'enable' }
  /** Down by will, told for as long as the other side could listen, and then gone. */
  | { readonly kind: 'remove' };

/** What this host knew when a session went down. */
export interface DownEvidence {
  /** Since the last packet of the other side came in; of echoes, since the last came back. */
  readonly lastHeardAgo: Milliseconds;
  readonly interval: Milliseconds;
  readonly detectionTime: Milliseconds;
  /** Packets that should have come in that time. */
  readonly missed: number;
  /** The latest that this process came to one of the session's deadlines since then, and how often it listened longer because of it. */
  readonly ownLateness: Milliseconds;
  readonly naps: number;
  /** What the other side said last. */
  readonly remoteState: BfdPhase;
  readonly remoteDiagnostic: BfdDiagnostic;
}

export type BfdEffect =
  /** `sequence`: for its authentication, if it has one. */
  | { readonly do: 'send'; readonly control: BfdControl; readonly sequence: number }
  | { readonly do: 'echo'; readonly sequence: number; readonly sent: Milliseconds }
  | {
    readonly do: 'transition'; readonly from: BfdPhase; readonly to: BfdPhase; readonly diagnostic: BfdDiagnostic; readonly rule: string;
    /** Of a session that was Up or about to be. */
    readonly evidence?: DownEvidence;
  }
  /** For the record: something that changed no state. */
  | { readonly do: 'note'; readonly rule: string }
  /** A removed session has said so. */
  | { readonly do: 'gone' };

/** What the other side said last: §6.8.1. */
export interface Remote {
  /** bfd.RemoteDiscr; 0: none was heard for a detection time. */
  readonly discriminator: number;
  readonly state: BfdPhase;
  readonly diagnostic: BfdDiagnostic;
  readonly desiredMinTx: Milliseconds;
  /** bfd.RemoteMinRxInterval */
  readonly requiredMinRx: Milliseconds;
  readonly requiredMinEchoRx: Milliseconds;
  readonly detectMult: number;
  readonly demand: boolean;
}

/** §6.8.1. */
export const unheard: Remote = {
  discriminator: 0, state: 'down', diagnostic: 'none', detectMult: 0, demand: false,
  desiredMinTx: ms(0), requiredMinRx: ms(0.001), requiredMinEchoRx: ms(0),
};

export interface Echoing {
  readonly interval: Milliseconds;
  readonly next: Milliseconds;
  /** Undefined until one came back: then echoes watch the session, and control packets slow down. */
  readonly silence: Silence | undefined;
  /** Of the last one that came back. */
  readonly roundTrip: Milliseconds | undefined;
}

export interface BfdState {
  readonly settings: BfdSettings;
  /** bfd.LocalDiscr, 1..2^32 - 1, of this session alone. */
  readonly discriminator: number;
  readonly phase: BfdPhase;
  /** bfd.LocalDiag */
  readonly diagnostic: BfdDiagnostic;
  /** Why it is AdminDown. */
  readonly because: string | undefined;
  readonly remote: Remote;
  readonly negotiation: Negotiation;
  /** When the last packet left that the timer counts from. */
  readonly sent: Milliseconds;
  /** By what the timer runs; 0: it does not (§6.6, §6.8.1). */
  readonly sendInterval: Milliseconds;
  readonly nextSend: Milliseconds;
  /** Undefined: nobody there to miss. */
  readonly silence: Silence | undefined;
  readonly echoing: Echoing | undefined;
  /** The last echo's number, and the last that came back. */
  readonly echoSent: number;
  readonly echoHeard: number;
  /** When the last echo left. */
  readonly echoAt: Milliseconds;
  /** bfd.XmitAuthSeq: of the last packet. */
  readonly sequence: number;
  /** bfd.RcvAuthSeq with the time until which it is known: twice the detection time after the last packet (§6.8.1). */
  readonly heardSequence: { readonly value: number; readonly until: Milliseconds } | undefined;
  /** It was removed, and is gone then. */
  readonly leaves: Milliseconds | undefined;
}

export interface BfdStep {
  readonly state: BfdState;
  readonly effects: readonly BfdEffect[];
}

/** When `expire` is wanted; Infinity: not at all. */
export function deadlineOf({ nextSend, silence, echoing, leaves }: BfdState): Milliseconds {
  let due: number = nextSend;
  if (silence) due = Math.min(due, silenceDeadline(silence));
  if (echoing) {
    due = Math.min(due, echoing.next);
    if (echoing.silence) due = Math.min(due, silenceDeadline(echoing.silence));
  }
  return ms(leaves === undefined ? due : Math.min(due, leaves));
}
