// PowerSGD's state in a checkpoint: what each rank has not sent yet, and the factors that the next step begins with.
import type { Checkpoint, NamedTensor } from '@slip/checkpoint';
import { SlipError } from '@slip/core';
import type { PowerSgd } from './powersgd.js';

/** Logical file; every rank writes its own part of it. */
export const POWERSGD_FILE = 'powersgd';
const RIGHT = 'right';
const ERRORS = /^errors\/\d+$/;
const errorsOf = (rank: number) => `errors/${String(rank).padStart(5, '0')}`;

/** What this rank saves. The factors are the same on all, so the first one does it for them. */
export function powerSgdTensors({ errors, right }: PowerSgd, rank: number): NamedTensor[] {
  const own: NamedTensor = { name: errorsOf(rank), dtype: 'F32', shape: [errors.length], data: errors };
  return rank === 0 ? [own, { name: RIGHT, dtype: 'F32', shape: [right.length], data: right }] : [own];
}

/**
 * Fills `powerSgd` from a checkpoint. On as many ranks as wrote it each rank gets its own errors back. On another number, rank `r` of
 * W gets the sum of those of ranks r, r + W, r + 2 W, ...: nothing that was not sent is lost, since only the sum over ranks is
 * ever sent. Factors of another rank (`--powersgd-rank`) are drawn anew.
 * @returns how many ranks had written it; 0 where it holds nothing of PowerSGD
 * @throws SlipError `checkpoint` when it is damaged, or of another model
 */
export async function restorePowerSgd(
  checkpoint: Checkpoint,
  powerSgd: PowerSgd,
  { rank, worldSize }: { readonly rank: number; readonly worldSize: number },
): Promise<number> {
  if (!checkpoint.files.includes(POWERSGD_FILE)) return 0;
  const { errors, right } = powerSgd;
  const ranks = checkpoint.tensorNames(POWERSGD_FILE).filter((name) => ERRORS.test(name)).length;
  errors.fill(0);
  for (let from = rank; from < ranks; from += worldSize) {
    const part = from === rank ? errors : new Float32Array(errors.length);
    let isThere = false;
    await checkpoint.readInto(POWERSGD_FILE, (name, _, shape) => {
      if (name !== errorsOf(from)) return undefined;
      if (shape.join() !== String(errors.length)) throw otherModel(checkpoint, shape, errors.length);
      isThere = true;
      return part;
    });
    if (!isThere) throw new SlipError('checkpoint', `${checkpoint.path} lacks ${errorsOf(from)} of PowerSGD`);
    if (part !== errors) for (let i = 0; i < errors.length; i++) errors[i] += part[i];
  }
  await checkpoint.readInto(POWERSGD_FILE, (name, _, shape) =>
    name === RIGHT && shape.join() === String(right.length) ? right : undefined,
  );
  return ranks;
}

function otherModel(checkpoint: Checkpoint, found: readonly number[], wanted: number): SlipError {
  return new SlipError(
    'checkpoint',
    `PowerSGD's errors in ${checkpoint.path} are of [${found}] parameters, this model has ${wanted}; check --model and its size flags`,
  );
}
