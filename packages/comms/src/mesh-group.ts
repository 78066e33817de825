// A process group over a mesh: numbers the collectives, keeps them in order, and stays failed after a failure.
import { SlipError } from '@slip/core';
import * as algorithms from './algorithms.js';
import type { DType, Mesh, Operation } from './mesh.js';
import type { ProcessGroup, Traffic } from './process-group.js';

/** Longest JSON value of `allGatherObject`; a transport must take frames of this size. */
export const MAX_OBJECT_BYTES = 1 << 20;

export class MeshGroup implements ProcessGroup {
  readonly traffic: Traffic;
  private readonly mesh: Mesh;
  private sequence = 0;
  private last: Promise<unknown> = Promise.resolve();
  private failure: unknown;

  constructor(mesh: Mesh, traffic: Traffic) {
    this.mesh = mesh;
    this.traffic = traffic;
  }

  get rank(): number {
    return this.mesh.rank;
  }

  get worldSize(): number {
    return this.mesh.worldSize;
  }

  allReduce(buffer: Float32Array, op: 'sum' | 'max' = 'sum'): Promise<void> {
    return this.run(`allReduce ${op}`, buffer.length, (call) => algorithms.allReduce(call, buffer));
  }

  async reduceScatter(input: Float32Array, output: Float32Array): Promise<void> {
    checkParts('reduceScatter', input.length, output.length, this.worldSize);
    return this.run('reduceScatter', input.length, (call) => algorithms.reduceScatter(call, input, output));
  }

  async allGather(input: Float32Array, output: Float32Array): Promise<void> {
    checkParts('allGather', output.length, input.length, this.worldSize);
    return this.run('allGather', output.length, (call) => algorithms.allGather(call, input, output));
  }

  async broadcast(buffer: Float32Array | Uint8Array, root: number): Promise<void> {
    if (!Number.isInteger(root) || root < 0 || root >= this.worldSize) {
      throw new SlipError('internal', `broadcast: root ${root} is not a rank of a world of ${this.worldSize}`);
    }
    const dtype = buffer instanceof Float32Array ? 'float32' : 'uint8';
    const bytes = new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
    return this.run('broadcast', buffer.length, (call) => algorithms.broadcast(call, bytes, root), dtype);
  }

  async allGatherObject<T>(value: T): Promise<T[]> {
    // Now, so that the caller may change the value while earlier calls are under way. JSON has no undefined.
    const own = Buffer.from(JSON.stringify(value) ?? 'null');
    if (own.length > MAX_OBJECT_BYTES) {
      throw new SlipError(
        'internal',
        `allGatherObject: ${own.length} bytes of JSON, the limit is ${MAX_OBJECT_BYTES}; use broadcast or allGather`,
      );
    }
    const work = async (call: algorithms.Call) => {
      const parts = await algorithms.exchangeBytes(call, own);
      return parts.map((part) => JSON.parse(Buffer.from(part).toString('utf8')) as T);
    };
    return this.run('object', 0, work, 'json');
  }

  barrier(): Promise<void> {
    return this.run('barrier', 0, async (call) => {
      await algorithms.exchangeBytes(call, new Uint8Array(0));
    });
  }

  async close(): Promise<void> {
    this.failure ??= new SlipError('internal', 'the process group is closed');
    await this.mesh.close();
  }

  private run<T>(
    operation: Operation,
    elements: number,
    work: (call: algorithms.Call) => Promise<T>,
    dtype: DType = 'float32',
  ): Promise<T> {
    const result = this.last.then(async () => {
      if (this.failure !== undefined) throw this.failure;
      const sequence = this.sequence++;
      try {
        return await work({ mesh: this.mesh, operation, sequence, elements, dtype });
      } catch (error) {
        this.failure ??= error;
        throw error;
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
