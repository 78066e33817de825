// A file of JSON lines that survives a killed process: appended line by line, cut back when a run goes on from an earlier
// step. Used for metrics.jsonl and log.txt.
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { writeFileAtomic } from '@slip/core';

export type JsonLine = Readonly<Record<string, string | number | null>>;

export class JsonLinesFile {
  readonly file: string;
  private descriptor: number;

  private constructor(file: string) {
    this.file = file;
    this.descriptor = openSync(file, 'a');
  }

  /**
   * Opens or makes `file`, first dropping lines that `keep` rejects and what a kill left half-written.
   * @returns the lines that stayed
   */
  static async open(
    file: string,
    keep: (line: JsonLine) => boolean,
  ): Promise<{ log: JsonLinesFile; kept: JsonLine[] }> {
    const kept = await rewrite(file, keep);
    return { log: new JsonLinesFile(file), kept };
  }

  /** Written before it returns, so that a later kill of this process cannot lose it. Not finite becomes null. */
  append(line: JsonLine): void {
    const bytes = Buffer.from(`${JSON.stringify(line)}\n`);
    for (let done = 0; done < bytes.length; ) done += writeSync(this.descriptor, bytes, done);
  }

  /** Drops lines that are about to be written again. */
  async drop(unwanted: (line: JsonLine) => boolean): Promise<void> {
    closeSync(this.descriptor);
    try {
      await rewrite(this.file, (line) => !unwanted(line));
    } finally {
      this.descriptor = openSync(this.file, 'a');
    }
  }

  close(): void {
    closeSync(this.descriptor);
  }
}

async function rewrite(file: string, keep: (line: JsonLine) => boolean): Promise<JsonLine[]> {
  const text = readIfThere(file);
  const kept: JsonLine[] = [];
  let remaining = '';
  for (const raw of text.split('\n')) {
    const line = parseLine(raw);
    if (line === undefined || !keep(line)) continue;
    kept.push(line);
    remaining += `${raw}\n`;
  }
  if (remaining !== text) await writeFileAtomic(file, remaining);
  return kept;
}

/** The lines of a file that are whole; empty where there is no file. */
export function readJsonLines(file: string): JsonLine[] {
  return readIfThere(file)
    .split('\n')
    .map(parseLine)
    .filter((line) => line !== undefined);
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}

function parseLine(raw: string): JsonLine | undefined {
  try {
    const line: unknown = JSON.parse(raw);
    return typeof line === 'object' && line !== null ? (line as JsonLine) : undefined;
  } catch {
    return undefined;
  }
}
