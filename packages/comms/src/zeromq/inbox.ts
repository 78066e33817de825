// Frames of one peer in the order of arrival, and who waits for the next one. No sockets.
import { SlipError } from '@slip/core';
import { describeTag, sameTag } from '../frame-tag.js';
import type { FrameTag } from '../mesh.js';

const READ_GRACE_MS = 100;

export class Inbox {
  private readonly frames: { tag: FrameTag; payload: Uint8Array }[] = [];
  private failure: Error | undefined;
  private deliveredFrames = 0;
  private wake: (() => void) | undefined;

  deliver(tag: FrameTag, payload: Uint8Array): void {
    this.deliveredFrames += 1;
    this.frames.push({ tag, payload });
    this.wake?.();
  }

  /** How many frames have come so far. */
  get delivered(): number {
    return this.deliveredFrames;
  }

  /** Frames that came before the failure can still be taken. The first failure stays. */
  fail(error: Error): void {
    this.failure ??= error;
    this.wake?.();
  }

  /** @throws the failure, once no frame is left; SlipError `peer-lost` after `timeoutMs` or for a frame of something else */
  async take(tag: FrameTag, peer: { from: number; rank: number }, timeoutMs: number): Promise<Uint8Array> {
    let late = false;
    let timer: NodeJS.Timeout | undefined;
    try {
      while (this.frames.length === 0) {
        if (this.failure !== undefined) throw this.failure;
        if (late) {
          throw new SlipError(
            'peer-lost',
            `rank ${peer.from} is late: rank ${peer.rank} waited ${timeoutMs / 1000} s for it in ${describeTag(tag)}; ` +
              'see its log, or raise --comm-timeout if it is only slow',
            { details: { rank: peer.from } },
          );
        }
        await new Promise<void>((resolve) => {
          this.wake = resolve;
          // After a blocked event loop timers come first: what lies in the socket is read before somebody is called late.
          timer ??= setTimeout(() => {
            timer = setTimeout(() => {
              late = true;
              this.wake?.();
            }, READ_GRACE_MS);
          }, timeoutMs);
        });
      }
    } finally {
      clearTimeout(timer);
      this.wake = undefined;
    }
    const frame = this.frames.shift()!;
    if (sameTag(frame.tag, tag)) return frame.payload;
    throw new SlipError(
      'peer-lost',
      `ranks disagree: rank ${peer.from} is at ${describeTag(frame.tag)}, rank ${peer.rank} at ${describeTag(tag)}; ` +
        'do all nodes run the same configuration?',
      { details: { rank: peer.from } },
    );
  }
}
