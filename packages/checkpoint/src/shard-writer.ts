// Writes shards in a thread of their own, straight from the caller's memory, while the caller goes on; what is not written when it
// wants to change that memory is copied first.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { invariant, type MemoryPlace, threadMemory } from '@slip/core';
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

/** A tensor as the thread is told of it: where it lies, or a copy in memory that both threads see. */
export interface SentTensor {
  readonly name: string;
  readonly dtype: TensorDtype;
  readonly shape: readonly number[];
  readonly memory: MemoryPlace | Uint8Array;
}

export interface WriteRequest {
  /** Numbers the calls of `write`. */
  readonly id: number;
  readonly folder: string;
  readonly files: readonly {
    readonly file: string;
    readonly name: string;
    readonly metadata: Readonly<Record<string, string>>;
    readonly tensors: readonly SentTensor[];
  }[];
}

export type ToWriter = WriteRequest | { readonly release: number } | { readonly close: true };

export type FromWriter =
  | { readonly written: readonly WrittenShard[] }
  | { readonly error: { readonly message: string; readonly code?: string } }
  | { readonly released: number };

/** What is smaller is sent as a copy: it costs nothing, and the thread keeps a view of every place it has seen. */
const SMALL_BYTES = 64 << 10;

interface Waiting<T> {
  resolve(value: T): void;
  reject(error: Error): void;
}

export class ShardWriter {
  private thread: Worker | undefined;
  private writing: Waiting<readonly WrittenShard[]> | undefined;
  private releasing: { readonly done: Promise<void>; resolve(): void } | undefined;
  private isReleased = true;
  private id = 0;
  /** What is sent as a copy, used again for every save: copies of their own would stay until the thread's next collection, which is far. */
  private copies = new SharedArrayBuffer(0);

  /**
   * Writes and syncs the files, one call at a time. The tensors must not change before this has settled or `release` has resolved.
   * @returns resolves when the files are durable; rejects with the system's own error, also where a copy has no room
   */
  async write(folder: string, files: readonly ShardFile[]): Promise<readonly WrittenShard[]> {
    invariant(this.writing === undefined, 'one save at a time');
    const sentFiles = this.sent(files);
    this.id += 1;
    this.thread ??= this.start();
    const { thread } = this;
    thread.ref();
    this.isReleased = false;
    try {
      return await new Promise<readonly WrittenShard[]>((resolve, reject) => {
        this.writing = { resolve, reject };
        thread.postMessage({ id: this.id, folder, files: sentFiles } satisfies ToWriter);
      });
    } finally {
      this.writing = undefined;
      this.letGo();
      thread.unref();
    }
  }

  /**
   * Copies what is still to be written, without which the write under way fails.
   * @returns resolves when its tensors may change; never rejects
   */
  async release(): Promise<void> {
    if (this.isReleased) return;
    if (this.releasing === undefined) {
      let resolve = () => {};
      const done = new Promise<void>((settle) => {
        resolve = settle;
      });
      this.releasing = { done, resolve };
      this.thread?.postMessage({ release: this.id } satisfies ToWriter);
    }
    await this.releasing.done;
  }

  /** Ends the thread, in the middle of a file if need be; a write under way rejects. */
  async close(): Promise<void> {
    const { thread } = this;
    if (thread === undefined) return;
    if (this.writing !== undefined) {
      await thread.terminate();
      return;
    }
    // Left to itself, because what it has mapped would stay until the process ends.
    const ended = once(thread, 'exit');
    thread.ref();
    thread.postMessage({ close: true } satisfies ToWriter);
    await ended;
  }

  private start(): Worker {
    const thread = new Worker(new URL('./shard-writer-thread.js', import.meta.url), { name: 'checkpoint' });
    thread.on('message', (reply: FromWriter) => this.take(reply));
    thread.on('error', (error) => this.writing?.reject(error));
    thread.on('exit', (code) => {
      this.thread = undefined;
      this.writing?.reject(new Error(`the thread that writes checkpoints ended with code ${code}`));
    });
    return thread;
  }

  private take(reply: FromWriter): void {
    if ('released' in reply) {
      // Not that of a write which has ended in the meantime.
      if (reply.released === this.id) this.letGo();
    } else if ('written' in reply) this.writing?.resolve(reply.written);
    else this.writing?.reject(Object.assign(new Error(reply.error.message), { code: reply.error.code }));
  }

  private sent(files: readonly ShardFile[]): WriteRequest['files'] {
    const placed = files.map(({ tensors }) => tensors.map(placeOf));
    const copied = files.flatMap(({ tensors }, i) => tensors.filter((_, k) => placed[i]![k] === undefined));
    const needed = copied.reduce((sum, { data }) => sum + data.byteLength, 0);
    if (this.copies.byteLength < needed) this.copies = new SharedArrayBuffer(needed);
    let used = 0;
    const copyOf = (data: NamedTensor['data']): Uint8Array => {
      const copy = new Uint8Array(this.copies, used, data.byteLength);
      copy.set(bytesOf(data));
      used += data.byteLength;
      return copy;
    };
    return files.map(({ tensors, ...file }, i) => ({
      ...file,
      tensors: tensors.map(({ name, dtype, shape, data }, k) => ({
        ...{ name, dtype, shape },
        memory: placed[i]![k] ?? copyOf(data),
      })),
    }));
  }

  private letGo(): void {
    this.isReleased = true;
    this.releasing?.resolve();
    this.releasing = undefined;
  }
}

function placeOf({ data }: NamedTensor): MemoryPlace | undefined {
  return data.byteLength <= SMALL_BYTES ? undefined : threadMemory()?.placeOf(data);
}
