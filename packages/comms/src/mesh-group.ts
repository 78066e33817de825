// A process group over a mesh: numbers the collectives, keeps them in order, and stays failed after a failure.
import { SlipError } from '@slip/core';
import * as algorithms from './algorithms.js';
import type { FrameMesh } from './frame-mesh.js';
import { type Dtype, MAX_PAYLOAD_BYTES, type Operation } from './mesh.js';
import type { ProcessGroup, Traffic } from './process-group.js';

/** What the ranks must agree on when they call a collective. */
interface Kind {
  readonly operation: Operation;
  readonly dtype: Dtype;
  readonly elements: number;
  readonly root?: number;
}

export class MeshGroup implements ProcessGroup {
  private readonly mesh: FrameMesh;
  private readonly onClose: () => void;
  private sequence = 0;
  private last: Promise<unknown> = Promise.resolve();

  constructor(mesh: FrameMesh, onClose = () => {}) {
    this.mesh = mesh;
    this.onClose = onClose;
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

  async allReduce(buffer: Float32Array, op: 'sum' | 'max' = 'sum'): Promise<void> {
    const kind: Kind = { operation: `allReduce ${op}`, dtype: 'float32', elements: buffer.length };
    return this.run(kind, (call) => algorithms.allReduce(call, buffer));
  }

  async reduceScatter(input: Float32Array, output: Float32Array): Promise<void> {
    checkParts('reduceScatter', input.length, output.length, this.worldSize);
    const kind: Kind = { operation: 'reduceScatter', dtype: 'float32', elements: input.length };
    return this.run(kind, (call) => algorithms.reduceScatter(call, input, output));
  }

  async allGather(input: Float32Array, output: Float32Array): Promise<void> {
    checkParts('allGather', output.length, input.length, this.worldSize);
    const kind: Kind = { operation: 'allGather', dtype: 'float32', elements: output.length };
    return this.run(kind, (call) => algorithms.allGather(call, input, output));
  }

  async broadcast(buffer: Float32Array | Uint8Array, root: number): Promise<void> {
    if (!Number.isInteger(root) || root < 0 || root >= this.worldSize) {
      throw new SlipError('internal', `broadcast: rank ${root} is not one of ${this.worldSize} ranks`);
    }
    const dtype = buffer instanceof Float32Array ? 'float32' : 'uint8';
    const bytes = new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
    const kind: Kind = { operation: 'broadcast', dtype, elements: buffer.length, root };
    return this.run(kind, (call) => algorithms.broadcast(call, bytes));
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
      const parts = await algorithms.exchangeBytes(call, json);
      return parts.map((part) => JSON.parse(Buffer.from(part).toString('utf8')) as T);
    });
  }

  async barrier(): Promise<void> {
    return this.run({ operation: 'barrier', dtype: 'uint8', elements: 0 }, async (call) => {
      await algorithms.exchangeBytes(call, new Uint8Array(0));
    });
  }

  async close(): Promise<void> {
    this.onClose();
    await this.mesh.close(new SlipError('internal', 'the process group is closed'));
  }

  private run<T>({ root = 0, ...kind }: Kind, work: (call: algorithms.Call) => Promise<T>): Promise<T> {
    const result = this.last.then(async () => {
      if (this.mesh.failure !== undefined) throw this.mesh.failure;
      const sequence = this.sequence;
      this.sequence = (sequence + 1) % 2 ** 32;
      try {
        return await work({ mesh: this.mesh, ...kind, sequence, root });
      } catch (error) {
        this.mesh.fail(error instanceof Error ? error : new SlipError('internal', String(error)));
        // A failure elsewhere may have come first, and is then the reason of this one.
        throw this.mesh.failure ?? error;
      }
    });
    this.last = result.catch(() => undefined);
    return result;
  }
}

function checkParts(operation: string, whole: number, part: number, worldSize: number): void {
  if (whole !== part * worldSize) {
    throw new SlipError('internal', `${operation}: ${whole} elements are not ${worldSize} parts of ${part}`);
  }
}
