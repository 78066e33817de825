// Tensors that are written straight from memory which somebody else wants to change soon: until then piece by piece from where they
// lie, from a copy of the rest afterwards.

/** Large enough to keep a disk busy; whoever wants the memory back waits for one piece at most, and for the copy. */
const PIECE_BYTES = 4 << 20;

/** One tensor's bytes, as far as they have been given out. */
export interface HeldTensor {
  bytes: Uint8Array;
  given: number;
}

export class HeldTensors {
  private readonly tensors: readonly HeldTensor[];
  private readonly roomFor: (bytes: number) => ArrayBuffer;
  /** Pieces that a reader has and that lie in the owner's memory, and who waits for them. */
  private lent = 0;
  private waiting: (() => void)[] = [];
  private isReleased = false;
  private failure: unknown;

  /** @param roomFor memory for the copy, asked for at most once */
  constructor(tensors: readonly Uint8Array[], roomFor: (bytes: number) => ArrayBuffer) {
    this.tensors = tensors.map((bytes) => ({ bytes, given: 0 }));
    this.roomFor = roomFor;
  }

  /** The bytes of tensor `index`, once; a piece may be read until the next one is asked for. @throws what kept `release` from copying */
  async *pieces(index: number): AsyncGenerator<Uint8Array> {
    const tensor = this.tensors[index];
    while (tensor.given < tensor.bytes.length) {
      if (this.failure !== undefined) throw this.failure;
      const isLent = !this.isReleased;
      const piece = tensor.bytes.subarray(tensor.given, tensor.given + PIECE_BYTES);
      tensor.given += piece.length;
      if (isLent) this.lent += 1;
      try {
        yield piece;
      } finally {
        if (isLent) this.takeBack();
      }
    }
  }

  /** @returns resolves when the owner's memory is not read any more; never rejects */
  async release(): Promise<void> {
    try {
      if (!this.isReleased) this.copyRest();
    } catch (error) {
      this.failure = error;
    }
    this.isReleased = true;
    if (this.lent > 0) await new Promise<void>((resolve) => this.waiting.push(resolve));
  }

  private copyRest(): void {
    const rest = this.tensors.filter(({ bytes, given }) => given < bytes.length);
    const room = this.roomFor(rest.reduce((sum, { bytes, given }) => sum + bytes.length - given, 0));
    let at = 0;
    for (const tensor of rest) {
      const bytes = tensor.bytes.subarray(tensor.given);
      tensor.bytes = new Uint8Array(room, at, bytes.length);
      tensor.bytes.set(bytes);
      tensor.given = 0;
      at += bytes.length;
    }
  }

  private takeBack(): void {
    this.lent -= 1;
    if (this.lent > 0) return;
    for (const resolve of this.waiting) resolve();
    this.waiting = [];
  }
}
