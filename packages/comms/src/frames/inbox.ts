// What becomes of messages that a socket has received: strangers are counted, damage fails the group, frames go to the mesh. Short
// payloads are checked here, long ones when they are read.

import type { Logger } from '@slip/core';
import { heldPayload } from '../held-payload.js';
import type { Traffic } from '../process-group.js';
import type { Digest } from '../vector/kernels.js';
import type { Payload, WireListener } from '../wire.js';
import { DIGESTED_BYTES, damaged, isIntact, type Membership, parseHeader, refusal } from './frame.js';

/** What follows a header, as the socket has it. */
export type RawPayload = Omit<Payload, 'check'>;

export interface InboxOptions {
  /** Where strangers are counted. */
  readonly traffic: Traffic;
  readonly log: Logger;
}

export class Inbox {
  private readonly membership: Membership;
  private readonly listener: WireListener;
  private readonly options: InboxOptions;

  constructor(membership: Membership, listener: WireListener, options: InboxOptions) {
    this.membership = membership;
    this.listener = listener;
    this.options = options;
  }

  /**
   * @param head may be written to again when this returns
   * @param parts of the message; without two of them `raw` is not looked at
   */
  take(head: Uint8Array, parts: number, raw: RawPayload): void {
    const frame = parseHeader(head, parts, raw.length, this.membership);
    if (frame.status === 'ok') this.deliver(frame.sender, head, frame.header, raw);
    else raw.release();
    if (frame.status === 'refused') this.listener.fail(refusal(frame.sender, frame.reason));
    if (frame.status === 'foreign') this.countForeign();
  }

  private countForeign(): void {
    const { traffic, log } = this.options;
    if (traffic.foreignFrames === 0) log.warn('a frame that is not of this run and generation was dropped');
    traffic.foreignFrames += 1;
  }

  private deliver(
    sender: number,
    head: Uint8Array,
    header: Parameters<WireListener['deliver']>[1],
    raw: RawPayload,
  ): void {
    if (raw.length >= DIGESTED_BYTES) {
      const kept = Buffer.from(head);
      const check = (digest: Digest) => {
        if (!isIntact(kept, digest)) throw damaged(sender);
      };
      this.listener.deliver(sender, header, { ...raw, check });
      return;
    }
    const bytes = new Uint8Array(raw.length);
    if (raw.length > 0) raw.read(0, bytes);
    raw.release();
    if (isIntact(head, bytes)) this.listener.deliver(sender, header, heldPayload(bytes));
    else this.listener.fail(damaged(sender));
  }
}
