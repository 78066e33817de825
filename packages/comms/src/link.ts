// One rank's frames to and from one peer: the queue of arrivals, and what may be sent before the peer has taken more.
import type { FrameTag } from './mesh.js';
import { type Outgoing, type Payload, WINDOW_FRAMES } from './wire.js';

export interface Letter {
  readonly tag: FrameTag;
  readonly payload: Outgoing;
  isSent: boolean;
}

export interface Arrival {
  readonly tag: FrameTag;
  readonly payload: Payload;
}

export class Link {
  hasGreeted = false;
  isReady = false;
  isLost = false;
  /** Frames of any kind that have come so far. */
  arrived = 0;
  private readonly post: (letter: Letter) => void;
  private readonly arrivals: Arrival[] = [];
  private readonly outbox: Letter[] = [];
  private room = WINDOW_FRAMES;
  private takenSinceCredit = 0;
  /** Frames of collectives so far, each way. */
  private posted = 0;
  private collected = 0;
  private leavesAfter: number | undefined;

  constructor(post: (letter: Letter) => void) {
    this.post = post;
  }

  /** @returns the letter, already sent or in its place in the queue */
  send(tag: FrameTag, payload: Outgoing): Letter {
    const letter: Letter = { tag, payload, isSent: false };
    this.outbox.push(letter);
    this.sendAllowed();
    return letter;
  }

  /** The peer has taken so many frames. */
  credit(frames: number): void {
    this.room = Math.min(WINDOW_FRAMES, this.room + frames);
    this.sendAllowed();
  }

  /** @returns false when the peer has sent more than it may */
  arrive(arrival: Arrival): boolean {
    this.arrivals.push(arrival);
    this.collected += 1;
    return this.arrivals.length + this.takenSinceCredit <= WINDOW_FRAMES;
  }

  get hasArrivals(): boolean {
    return this.arrivals.length > 0;
  }

  /** @returns the oldest frame, and how many frames the peer is to be given credit for now: not one by one */
  take(): { arrival: Arrival; credit: number } {
    const arrival = this.arrivals.shift()!;
    this.takenSinceCredit += 1;
    return { arrival, credit: this.takenSinceCredit < WINDOW_FRAMES / 2 ? 0 : this.settle() };
  }

  /** @returns how many frames the peer has not been given credit for, of which it is told now */
  settle(): number {
    const credit = this.takenSinceCredit;
    this.takenSinceCredit = 0;
    return credit;
  }

  /** Whether the peer has taken all that was sent. */
  get isDelivered(): boolean {
    return this.room === WINDOW_FRAMES && this.outbox.length === 0;
  }

  /** How many frames of collectives the peer has been sent, modulo 2^32. */
  get sentFrames(): number {
    return this.posted >>> 0;
  }

  /** The peer has closed its group when it had sent so many frames of collectives, modulo 2^32. */
  leave(sentFrames: number): void {
    this.leavesAfter = sentFrames;
  }

  /** Whether the peer has closed its group, and all that it had sent before has come. */
  get hasLeft(): boolean {
    return this.leavesAfter !== undefined && ((this.collected - this.leavesAfter) | 0) >= 0;
  }

  /** Nothing more will be sent or taken. */
  drop(): void {
    this.outbox.length = 0;
    for (const { payload } of this.arrivals.splice(0)) payload.release();
  }

  private sendAllowed(): void {
    while (this.room > 0 && this.outbox.length > 0) {
      const letter = this.outbox.shift()!;
      this.room -= 1;
      this.posted += 1;
      letter.isSent = true;
      this.post(letter);
    }
  }
}
