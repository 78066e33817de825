// Writes `<run>/tensorboard/events.out.tfevents.*`: a new file for each start of the run, scalars only.
import { closeSync, mkdirSync, openSync, readdirSync, writeSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { restartEvent, scalarsEvent, tfRecord, versionEvent } from './event-encoding.js';

const FILE_NAME = /^events\.out\.tfevents\.(\d+)\./;

export class EventFile {
  readonly file: string;
  private readonly descriptor: number;
  private readonly now: () => number;

  private constructor(file: string, now: () => number) {
    this.file = file;
    this.descriptor = openSync(file, 'wx');
    this.now = now;
  }

  /**
   * @param folder `<run>/tensorboard`
   * @param startStep steps already done: what earlier files say of later ones is withdrawn
   * @param now milliseconds since 1970
   */
  static create(folder: string, startStep: number, now: () => number = Date.now): EventFile {
    mkdirSync(folder, { recursive: true });
    const earlier = readdirSync(folder).flatMap((name) => FILE_NAME.exec(name)?.[1] ?? []);
    // Readers take the files in the order of their names: a restart within the same second must come later.
    const seconds = Math.max(Math.floor(now() / 1000), ...earlier.map((text) => Number(text) + 1));
    const name = `events.out.tfevents.${String(seconds).padStart(10, '0')}.${os.hostname()}.${process.pid}`;
    const file = path.join(folder, name);
    const events = new EventFile(file, now);
    events.write(versionEvent(now() / 1000));
    if (earlier.length > 0) events.write(restartEvent(now() / 1000, startStep + 1));
    return events;
  }

  scalars(step: number, values: Readonly<Record<string, number>>): void {
    this.write(scalarsEvent(this.now() / 1000, step, values));
  }

  close(): void {
    closeSync(this.descriptor);
  }

  private write(message: Uint8Array): void {
    const frame = tfRecord(message);
    for (let done = 0; done < frame.length; ) done += writeSync(this.descriptor, frame, done);
  }
}
