// What the algorithms need of a transport: ordered frames between any two ranks. No sockets here.

export type Operation =
  | 'allReduce sum'
  | 'allReduce max'
  | 'reduceScatter'
  | 'allGather'
  | 'broadcast'
  | 'object'
  | 'barrier';

/** What the bytes of a frame mean. */
export type DType = 'float32' | 'uint8' | 'json';

/** What a frame is part of; sender and receiver must agree on all of it. */
export interface FrameTag {
  readonly operation: Operation;
  /** Number of the collective in this group. */
  readonly sequence: number;
  /** Elements of the whole collective; 0 where sizes may differ by rank (objects). */
  readonly elements: number;
  readonly chunk: number;
  readonly dtype: DType;
}

export interface Mesh {
  readonly rank: number;
  readonly worldSize: number;
  /** The payload is copied before this returns, so the caller may go on writing to it. */
  send(to: number, tag: FrameTag, payload: Uint8Array): Promise<void>;
  /**
   * The next frame of `from`, which must carry `tag`.
   * @throws SlipError `peer-lost` that names the rank and both operations when it is late, lost or does something else
   */
  receive(from: number, tag: FrameTag): Promise<Uint8Array>;
  /** Waits that are under way end with an error. */
  close(): Promise<void>;
}
