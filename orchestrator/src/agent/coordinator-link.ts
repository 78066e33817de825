// The agent's line to the coordinator: joins, beats, sends in order, and notices when the other side falls silent.
import { SlipError } from '@slip/core';
import {
  type AgentHello,
  type ControlMessage,
  decodeMessage,
  encodeMessage,
  type Heartbeat,
  PROTOCOL_VERSION,
  SilenceWatch,
  type Welcome,
} from '@slip/protocol';
import { Dealer } from 'zeromq';

const HELLO_EVERY_MS = 500;

export interface LinkListener {
  /** What the agent's next heartbeat says. */
  heartbeat(everyMs: number): Heartbeat;
  onMessage(message: ControlMessage): void;
  /** No answer for the coordinator's own timeout. Called once. */
  onLost(silentMs: number): void;
}

export class CoordinatorLink {
  /** Empty until the coordinator's welcome. */
  launchId = '';
  private readonly dealer: Dealer;
  private sending: Promise<void> = Promise.resolve();
  private beat: NodeJS.Timeout | undefined;
  private watch: SilenceWatch | undefined;
  private listener: LinkListener | undefined;
  private onAnswer: ((message: ControlMessage) => void) | undefined;
  private otherVersion: number | undefined;

  constructor(endpoint: string) {
    // A short linger lets the last reports out without holding up the exit when nobody is there to take them.
    this.dealer = new Dealer({
      linger: 300,
      maxMessageSize: 1 << 20,
      reconnectInterval: 100,
      reconnectMaxInterval: 1000,
    });
    this.dealer.connect(endpoint);
    void this.receive();
  }

  /**
   * Says hello until it is answered, then keeps beating.
   * @throws SlipError `rendezvous` when nobody answers in time, or with the coordinator's own reason
   */
  async join(hello: AgentHello, timeoutMs: number, signal: AbortSignal, listener: LinkListener): Promise<Welcome> {
    // Set first: what follows the welcome may be here before this function goes on.
    this.listener = listener;
    const answer = await this.askUntilAnswered(hello, timeoutMs, signal);
    if (answer.kind === 'reject') throw new SlipError(answer.code, answer.reason);
    if (answer.kind === 'shutdown') throw new SlipError('rendezvous', answer.reason);
    if (answer.kind !== 'welcome') throw new SlipError('rendezvous', `unexpected ${answer.kind} instead of a welcome`);
    const watch = new SilenceWatch(answer.heartbeatIntervalMs, performance.now());
    this.watch = watch;
    this.beat = setInterval(() => {
      this.send({ kind: 'heartbeat', ...listener.heartbeat(answer.heartbeatIntervalMs) });
      const silentMs = watch.check(performance.now());
      if (silentMs <= answer.coordinatorTimeoutMs) return;
      clearInterval(this.beat);
      listener.onLost(silentMs);
    }, answer.heartbeatIntervalMs);
    return answer;
  }

  /** Queues a message; never throws, a lost coordinator shows as silence. */
  send(message: ControlMessage): void {
    const bytes = encodeMessage(message, this.launchId);
    this.sending = this.sending.then(() => this.dealer.send(bytes)).catch(() => undefined);
  }

  close(): void {
    clearInterval(this.beat);
    this.dealer.close();
  }

  private async askUntilAnswered(hello: AgentHello, timeoutMs: number, signal: AbortSignal): Promise<ControlMessage> {
    const ask = (): void => this.send({ kind: 'agentHello', ...hello });
    const repeat = setInterval(ask, HELLO_EVERY_MS);
    let expiry: NodeJS.Timeout | undefined;
    try {
      ask();
      return await new Promise<ControlMessage>((resolve, reject) => {
        this.onAnswer = resolve;
        expiry = setTimeout(() => reject(this.noAnswer(timeoutMs)), timeoutMs);
        const stop = (): void => reject(new SlipError('stopped', 'stopped before the coordinator answered'));
        if (signal.aborted) stop();
        signal.addEventListener('abort', stop, { once: true });
      });
    } finally {
      clearInterval(repeat);
      clearTimeout(expiry);
      this.onAnswer = undefined;
    }
  }

  private noAnswer(timeoutMs: number): SlipError {
    if (this.otherVersion !== undefined)
      return new SlipError(
        'rendezvous',
        `the coordinator speaks protocol version ${this.otherVersion}, this agent ${PROTOCOL_VERSION}; run the same release`,
      );
    return new SlipError('rendezvous', `no answer within ${timeoutMs / 1000} s`);
  }

  private async receive(): Promise<void> {
    for await (const frames of this.dealer) {
      const result = decodeMessage(frames[0] ?? new Uint8Array());
      if (!result.ok) {
        if (result.problem === 'version') this.otherVersion = result.version;
        continue;
      }
      if (this.launchId !== '' && result.launchId !== this.launchId) continue;
      this.watch?.heard();
      if (result.message.kind === 'welcome') this.launchId = result.message.launchId;
      if (this.onAnswer !== undefined) {
        this.onAnswer(result.message);
        this.onAnswer = undefined;
      } else this.listener?.onMessage(result.message);
    }
  }
}
