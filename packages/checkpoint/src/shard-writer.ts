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

/** Places in the copy are multiples of it, as the widest element needs. */
const ALIGNMENT = 8;

export class ShardWriter {
  private memory = new SharedArrayBuffer(0);
  private thread: Worker | undefined;
  private isBusy = false;

  /**
   * Copies the tensors before it returns, then writes and syncs the files. One call at a time; the copy's memory is used again.
   * @returns resolves when the files are durable; rejects with the system's own error
   */
  write(folder: string, files: readonly ShardFile[]): Promise<readonly WrittenShard[]> {
    invariant(!this.isBusy, 'one save at a time');
    this.isBusy = true;
    const request = this.copy(folder, files);
    const thread = this.start();
    return new Promise<readonly WrittenShard[]>((resolve, reject) => {
      const settle = (act: () => void) => {
        thread.removeAllListeners();
        thread.unref();
        this.isBusy = false;
        act();
      };
      const fail = (error: Error) => {
        this.thread = undefined;
        settle(() => reject(error));
      };
      thread.once('message', (reply: WriteReply) => {
        if ('written' in reply) settle(() => resolve(reply.written));
        else settle(() => reject(Object.assign(new Error(reply.error.message), { code: reply.error.code })));
      });
      thread.once('error', fail);
      thread.once('exit', (code) => fail(new Error(`the thread that writes checkpoints ended with code ${code}`)));
      thread.ref();
      thread.postMessage(request);
    });
  }

  /** Ends the thread, in the middle of a file if need be. */
  async close(): Promise<void> {
    await this.thread?.terminate();
    this.thread = undefined;
  }

  private start(): Worker {
    this.thread ??= new Worker(new URL('./shard-writer-thread.js', import.meta.url), { name: 'checkpoint' });
    return this.thread;
  }

  private copy(folder: string, files: readonly ShardFile[]): WriteRequest {
    let end = 0;
    const placed = files.map(({ file, name, metadata, tensors }) => ({
      ...{ file, name, metadata },
      tensors: tensors.map(({ name: tensor, dtype, shape, data }) => {
        const offset = end;
        end = Math.ceil((end + data.byteLength) / ALIGNMENT) * ALIGNMENT;
        return { name: tensor, dtype, shape, offset, elements: data.length };
      }),
    }));
    if (this.memory.byteLength < end) this.memory = new SharedArrayBuffer(end);
    const target = new Uint8Array(this.memory);
    for (const [i, { tensors }] of files.entries()) {
      for (const [k, { data }] of tensors.entries()) target.set(bytesOf(data), placed[i].tensors[k].offset);
    }
    return { folder, memory: this.memory, files: placed };
  }
}
