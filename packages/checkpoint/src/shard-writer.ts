// Writes shards in a thread of their own, from a copy in memory: training goes on as soon as the copy is made.
import { Worker } from 'node:worker_threads';
import { invariant } from '@slip/core';
import type { ManifestShard } from './manifest.js';
import { bytesOf, type NamedTensor, type TensorDtype } from './named-tensor.js';

/** One file to be written. */
export interface ShardFile {
  /** Logical file, such as `model`. */
  readonly file: string;
  /** Name inside the folder. */
  readonly name: string;
  readonly tensors: readonly NamedTensor[];
  readonly metadata: Readonly<Record<string, string>>;
}

export interface WrittenShard extends ManifestShard {
  readonly file: string;
}

/** What the thread is told: tensors as places in the copy. */
export interface WriteRequest {
  readonly folder: string;
  readonly memory: SharedArrayBuffer;
  readonly files: readonly {
    readonly file: string;
    readonly name: string;
    readonly metadata: Readonly<Record<string, string>>;
    readonly tensors: readonly {
      readonly name: string;
      readonly dtype: TensorDtype;
      readonly shape: readonly number[];
      readonly offset: number;
      readonly elements: number;
    }[];
  }[];
}

export type WriteReply =
  | { readonly written: readonly WrittenShard[] }
  | { readonly error: { readonly message: string; readonly code?: string } };

/** Places in the copy lie like the originals with respect to it: between others, V8 copies to shared memory byte by byte. */
const ALIGNMENT = 8;

export class ShardWriter {
  private memory = new SharedArrayBuffer(0);
  private thread: Worker | undefined;
  private waiting: { resolve(written: readonly WrittenShard[]): void; reject(error: Error): void } | undefined;

  /**
   * Copies the tensors before it returns, then writes and syncs the files. One call at a time; the copy's memory is used again.
   * @returns resolves when the files are durable; rejects with the system's own error, also where the copy has no room
   */
  async write(folder: string, files: readonly ShardFile[]): Promise<readonly WrittenShard[]> {
    invariant(this.waiting === undefined, 'one save at a time');
    const request = this.copy(folder, files);
    this.thread ??= this.start();
    const { thread } = this;
    thread.ref();
    try {
      return await new Promise<readonly WrittenShard[]>((resolve, reject) => {
        this.waiting = { resolve, reject };
        thread.postMessage(request);
      });
    } finally {
      this.waiting = undefined;
      thread.unref();
    }
  }

  /** Ends the thread, in the middle of a file if need be; a write under way rejects. */
  async close(): Promise<void> {
    await this.thread?.terminate();
  }

  private start(): Worker {
    const thread = new Worker(new URL('./shard-writer-thread.js', import.meta.url), { name: 'checkpoint' });
    thread.on('message', (reply: WriteReply) => {
      if ('written' in reply) this.waiting?.resolve(reply.written);
      else this.waiting?.reject(Object.assign(new Error(reply.error.message), { code: reply.error.code }));
    });
    thread.on('error', (error) => this.waiting?.reject(error));
    thread.on('exit', (code) => {
      this.thread = undefined;
      this.waiting?.reject(new Error(`the thread that writes checkpoints ended with code ${code}`));
    });
    return thread;
  }

  private copy(folder: string, files: readonly ShardFile[]): WriteRequest {
    let end = 0;
    const placed = files.map(({ file, name, metadata, tensors }) => ({
      ...{ file, name, metadata },
      tensors: tensors.map(({ name: tensor, dtype, shape, data }) => {
        const offset = end + (data.byteOffset % ALIGNMENT);
        end = Math.ceil((offset + data.byteLength) / ALIGNMENT) * ALIGNMENT;
        return { name: tensor, dtype, shape, offset, elements: data.length };
      }),
    }));
    if (this.memory.byteLength < end) this.memory = new SharedArrayBuffer(end);
    // A view for each tensor: one of more than 4 GiB is refused.
    for (const [i, { tensors }] of files.entries()) {
      for (const [k, { data }] of tensors.entries()) {
        new Uint8Array(this.memory, placed[i].tensors[k].offset, data.byteLength).set(bytesOf(data));
      }
    }
    return { folder, memory: this.memory, files: placed };
  }
}
