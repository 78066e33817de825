// How a run finds its state again: the newest checkpoint that verifies, read in one pass by the ranks of a machine together, each a
// share of the files. All ranks agree on which one it is.
import {
  type Checkpoint,
  divideBySize,
  firstUsable,
  listCheckpoints,
  type Opened,
  resolveFolder,
  tryCheckpoint,
} from '@slip/checkpoint';
import type { ProcessGroup } from '@slip/comms';
import { type Logger, SlipError, silentLogger } from '@slip/core';
import { misfitOf, restoreFacts, stateTensors } from './state-checkpoint.js';
import type { TrainState } from './train-state.js';

export interface ContinueOptions {
  /** Takes the model alone, for evaluation. */
  readonly modelOnly: boolean;
  /** Rows per micro-batch over all ranks, which must be those of the run that was saved. */
  readonly globalBatch: number;
  readonly group: ProcessGroup;
  readonly log: Logger;
}

/**
 * Fills `state` from the newest usable checkpoint of a run. Collective.
 * @param folder `<run>/checkpoints`; rank 0 says what there is
 * @returns undefined where nothing was saved yet
 * @throws SlipError `checkpoint` when none can be used, or the newest that can does not fit this run
 */
export async function continueRun(
  folder: string,
  state: TrainState,
  options: ContinueOptions,
): Promise<Checkpoint | undefined> {
  const { group, log } = options;
  const [paths] = await group.allGatherObject(group.rank === 0 ? await listCheckpoints(folder) : []);
  const open = (place: string) => readTogether(place, state, options);
  return firstUsable(folder, paths, { open, log: group.rank === 0 ? log : silentLogger });
}

/**
 * Fills `state` from one checkpoint, such as `--resume` names. Collective.
 * @throws SlipError `checkpoint` when it cannot be used or does not fit this run
 */
export async function continueFrom(place: string, state: TrainState, options: ContinueOptions): Promise<Checkpoint> {
  const folder = await resolveFolder(place);
  const opened = await readTogether(folder, state, options);
  if ('reason' in opened) throw new SlipError('checkpoint', `${folder} cannot be used: ${opened.reason}`);
  return opened;
}

async function readTogether(place: string, state: TrainState, options: ContinueOptions): Promise<Opened> {
  const { group, modelOnly, globalBatch } = options;
  const opened = await tryCheckpoint(place);
  const misfit = 'reason' in opened ? undefined : misfitOf(opened, state, modelOnly ? undefined : globalBatch);
  const own = 'reason' in opened ? opened.reason : await readShare(opened, state, group.rank, misfit === undefined);
  const reasons = await group.allGatherObject(own ?? null);
  const rank = reasons.findIndex((reason) => reason !== null);
  if (rank >= 0) return { reason: reasons[rank]! };
  // Only now is it certain that this is what was saved, and not a flipped bit in a name or a size.
  if (misfit !== undefined) throw misfit;
  if ('reason' in opened) return opened;
  if (modelOnly) state.step = opened.step;
  else restoreFacts(opened, state);
  return opened;
}

/**
 * The files are divided among the ranks that share the arenas. The running statistics, of which each rank has its own, it takes from
 * the files of others too; those verify them.
 * @param fits false reads and verifies, but leaves the state alone
 * @returns what is wrong with the checkpoint
 */
async function readShare(
  checkpoint: Checkpoint,
  state: TrainState,
  rank: number,
  fits: boolean,
): Promise<string | undefined> {
  const { sharers, buffers } = state;
  const tensors = stateTensors(state);
  const shards = checkpoint.files.flatMap((file) => checkpoint.shards(file).map((shard) => ({ file, shard })));
  const wanted = shards.filter(({ file }) => tensors[file] !== undefined && tensors[file].length > 0);
  const shares = divideBySize(wanted, sharers.length, ({ shard }) => shard.sizeBytes);
  const mine = shares[sharers.indexOf(rank)];
  const targets = new Map(
    Object.entries(tensors).flatMap(([file, all]) => all.map(({ name, data }) => [`${file}/${name}`, data])),
  );
  try {
    for (const one of wanted) {
      const target = (name: string) => (fits ? targets.get(`${one.file}/${name}`) : undefined);
      if (!mine.includes(one)) {
        await one.shard.readInto((name) => (target(name)?.buffer === buffers.buffer ? target(name) : undefined));
        continue;
      }
      const reason = await one.shard.readVerified(target);
      if (reason !== undefined) return reason;
    }
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}
