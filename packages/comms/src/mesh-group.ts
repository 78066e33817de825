// A process group over a mesh: numbers the collectives, keeps them in order, and stays failed after a failure.
import { SlipError } from '@slip/core';
import { type Call, type Collectives, type Parts, partsOf } from './collectives.js';
import { FlightRecorder } from './flight-recorder.js';
import type { FrameMesh } from './frame-mesh.js';
import { type Dtype, MAX_PAYLOAD_BYTES, type Operation } from './mesh.js';
import { MeshCollectives, type SumOrder } from './mesh-collectives.js';
import type { FlightRecord, MemoryKind, ProcessGroup, Traffic } from './process-group.js';
import type { WireType } from './vector/kernels.js';

/** What the ranks must agree on when they call a collective. */
interface Kind {
  readonly operation: Operation;
  readonly dtype: Dtype;
  readonly elements: number;
  readonly root?: number;
}

/** What a group is given when its ranks share memory with others. */
export interface SharedPart {
  readonly collectives: Collectives;
  /** Ranks with this rank's place on each machine, in the order of machines: long messages go around them by frames. */
  readonly across: readonly number[];
  /** One call at a time, in the same order on all ranks. @returns undefined where there is no room on some rank */
  allocate(elements: number, kind: MemoryKind): Promise<Float32Array | undefined>;
}

export class MeshGroup implements ProcessGroup {
  private readonly mesh: FrameMesh;
  private readonly onClose: () => void;
  private readonly recorder = new FlightRecorder();
  private readonly ordinaryMemory: (elements: number) => Float32Array;
  private collectives: Collectives;
  private shared: SharedPart | undefined;
  private sequence = 0;
  private last: Promise<unknown> = Promise.resolve();

  constructor(mesh: FrameMesh, onClose = () => {}, order: SumOrder = 'fastest', ordinaryMemory = ordinaryArray) {
    this.mesh = mesh;
    this.onClose = onClose;
    this.ordinaryMemory = ordinaryMemory;
    this.collectives = new MeshCollectives(mesh, order);
  }

  get rank(): number {
    return this.mesh.rank;
  }

  get worldSize(): number {
    return this.mesh.worldSize;
  }

  get traffic(): Traffic {
    return this.mesh.traffic;
  }

  get flightRecords(): readonly FlightRecord[] {
    return this.recorder.records;
  }

  /**
   * What brought the ranks together does not count as calls of theirs: numbering starts here, on all ranks at the same place.
   * @param shared what the group uses from here on instead of frames alone
   */
  begin(shared: SharedPart | undefined): void {
    this.sequence = 0;
    this.shared = shared;
    if (shared !== undefined) this.collectives = shared.collectives;
  }

  async allocate(elements: number, kind: MemoryKind = 'own'): Promise<Float32Array> {
    return (await this.shared?.allocate(elements, kind)) ?? this.ordinaryMemory(elements);
  }

  async allReduce(buffer: Float32Array, op: 'sum' | 'max' = 'sum', wire: WireType = 'float32'): Promise<void> {
    const kind: Kind = { operation: `allReduce ${op}`, dtype: wire, elements: buffer.length };
    return this.run(kind, (call) => this.collectives.allReduce(call, buffer, op));
  }

  async reduceScatter(
    input: Float32Array,
    output: Float32Array,
    lengths?: readonly number[],
    wire: WireType = 'float32',
  ): Promise<void> {
    const parts = checkParts('reduceScatter', input.length, output.length, lengths, this);
    const kind: Kind = { operation: 'reduceScatter', dtype: wire, elements: input.length };
    return this.run(kind, (call) => this.collectives.reduceScatter(call, input, output, parts));
  }

  async allGather(input: Float32Array, output: Float32Array, lengths?: readonly number[]): Promise<void> {
    const parts = checkParts('allGather', output.length, input.length, lengths, this);
    const kind: Kind = { operation: 'allGather', dtype: 'float32', elements: output.length };
    return this.run(kind, (call) => this.collectives.allGather(call, input, output, parts));
  }

  async broadcast(buffer: Float32Array | Uint8Array, root: number): Promise<void> {
    if (!Number.isInteger(root) || root < 0 || root >= this.worldSize) {
      throw new SlipError('internal', `broadcast: rank ${root} is not one of ${this.worldSize} ranks`);
    }
    const dtype = buffer instanceof Float32Array ? 'float32' : 'uint8';
    const bytes = new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
    const kind: Kind = { operation: 'broadcast', dtype, elements: buffer.length, root };
    return this.run(kind, (call) => this.collectives.broadcast(call, bytes));
  }

  async allGatherObject<T>(value: T): Promise<T[]> {
    const json = Buffer.from(JSON.stringify(value) ?? 'null');
    if (json.length > MAX_PAYLOAD_BYTES) {
      throw new SlipError(
        'internal',
        `allGatherObject: ${json.length} bytes of JSON are more than ${MAX_PAYLOAD_BYTES}; gather large data as arrays`,
      );
    }
    return this.run({ operation: 'object', dtype: 'uint8', elements: 0 }, async (call) => {
      const parts = await this.collectives.exchangeBytes(call, json);
      return parts.map((part) => JSON.parse(Buffer.from(part).toString('utf8')) as T);
    });
  }

  async barrier(): Promise<void> {
    return this.run({ operation: 'barrier', dtype: 'uint8', elements: 0 }, async (call) => {
      await this.collectives.exchangeBytes(call, new Uint8Array(0));
    });
  }

  async close(): Promise<void> {
    this.onClose();
    await this.mesh.close(new SlipError('internal', 'the process group is closed'));
  }

  private run<T>({ root = 0, ...kind }: Kind, work: (call: Call) => Promise<T>): Promise<T> {
    const result = this.last.then(async () => {
      if (this.mesh.failure !== undefined) throw this.mesh.failure;
      const sequence = this.sequence;
      this.sequence = (sequence + 1) % 2 ** 32;
      const call = { ...kind, sequence, root };
      const record = this.recorder.start(call);
      try {
        const value = await work(call);
        this.recorder.end(record, 'done');
        return value;
      } catch (error) {
        this.recorder.end(record, 'failed');
        this.mesh.fail(error instanceof Error ? error : new SlipError('internal', String(error)));
        // A failure elsewhere may have come first, and is then the reason of this one.
        throw this.mesh.failure ?? error;
      }
    });
    this.last = result.catch(() => undefined);
    return result;
  }
}

function ordinaryArray(elements: number): Float32Array {
  return new Float32Array(elements);
}

function checkParts(
  operation: string,
  whole: number,
  part: number,
  lengths: readonly number[] | undefined,
  { rank, worldSize }: ProcessGroup,
): Parts {
  if (lengths === undefined) {
    if (whole !== part * worldSize)
      throw new SlipError('internal', `${operation}: ${whole} elements are not ${worldSize} parts of ${part}`);
    return partsOf(Array.from({ length: worldSize }, () => part));
  }
  const parts = partsOf(lengths);
  if (lengths.length !== worldSize || lengths[rank] !== part || parts.at(-1)![1] !== whole)
    throw new SlipError(
      'internal',
      `${operation}: parts of [${lengths}] elements, of which ${part} are mine, are not ${whole}`,
    );
  return parts;
}
