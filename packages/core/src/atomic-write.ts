// Writing files so that a crash leaves either the old or the new one: temporary name, sync, rename, sync the folder.
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import path from 'node:path';

const GATHERED_BYTES = 1 << 20;

/** Makes a rename in `folder` durable. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Replaces `file` by `content`; readers never see a half-written one, and a failed write leaves nothing behind. */
export async function writeFileAtomic(file: string, content: string | Uint8Array, mode = 0o644): Promise<void> {
  const temporary = path.join(path.dirname(file), `.${path.basename(file)}.${process.pid}.tmp`);
  try {
    const handle = await open(temporary, 'w', mode);
    try {
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(path.dirname(file));
}

/** A file that is written piece by piece and appears under its name only when it is complete. */
export class AtomicFile {
  readonly #file: string;
  readonly #temporary: string;
  readonly #handle: FileHandle;
  #pieces: Uint8Array[] = [];
  #waiting = 0;
  /** Bytes so far. */
  position = 0;

  private constructor(file: string, temporary: string, handle: FileHandle) {
    this.#file = file;
    this.#temporary = temporary;
    this.#handle = handle;
  }

  /** @throws the system's error when the folder cannot be written to */
  static async create(file: string): Promise<AtomicFile> {
    const temporary = path.join(path.dirname(file), `.${path.basename(file)}.${process.pid}.tmp`);
    return new AtomicFile(file, temporary, await open(temporary, 'w'));
  }

  /** Gathers small pieces. */
  async write(bytes: Uint8Array): Promise<void> {
    this.#pieces.push(bytes);
    this.#waiting += bytes.length;
    this.position += bytes.length;
    if (this.#waiting >= GATHERED_BYTES) await this.#flush();
  }

  /** Overwrites bytes that were written before. */
  async patch(bytes: Uint8Array, position: number): Promise<void> {
    await this.#flush();
    await this.#handle.write(bytes, 0, bytes.length, position);
  }

  async commit(): Promise<void> {
    await this.#flush();
    await this.#handle.sync();
    await this.#handle.close();
    await rename(this.#temporary, this.#file);
    await syncFolder(path.dirname(this.#file));
  }

  /** Leaves nothing behind. */
  async abort(): Promise<void> {
    await this.#handle.close().catch(() => undefined);
    await rm(this.#temporary, { force: true });
  }

  async #flush(): Promise<void> {
    const bytes = Buffer.concat(this.#pieces);
    const begin = this.position - this.#waiting;
    this.#pieces = [];
    this.#waiting = 0;
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await this.#handle.write(bytes, done, bytes.length - done, begin + done);
      done += bytesWritten;
    }
  }
}

/** Runs `work` on a new file, which stays only if it succeeds. */
export async function writeAtomically<T>(file: string, work: (out: AtomicFile) => Promise<T>): Promise<T> {
  const out = await AtomicFile.create(file);
  try {
    const result = await work(out);
    await out.commit();
    return result;
  } catch (error) {
    await out.abort();
    throw error;
  }
}
