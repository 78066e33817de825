// Saving while training goes on: the ranks write their shares of the state side by side, straight from its memory until the next update
// of the parameters; when all are on disk, rank 0 commits. What is in a checkpoint is state-checkpoint.ts, how it is written @slip/checkpoint.
import { existsSync } from 'node:fs';
import path from 'node:path';
import {
  abandonSave,
  beginSave,
  type CommitOptions,
  commitSave,
  countWriters,
  divideTensors,
  dropSpares,
  fileMetadata,
  type ManifestShard,
  markBest,
  type NamedTensor,
  type ShardFile,
  ShardWriter,
  saveFailure,
  shardName,
  type WrittenShard,
} from '@slip/checkpoint';
import type { ProcessGroup } from '@slip/comms';
import type { Plan, TrainingConfig } from '@slip/config';
import { type Logger, SlipError } from '@slip/core';
import type { RunMetrics } from '@slip/metrics';
import { POWERSGD_FILE, powerSgdTensors } from './powersgd-checkpoint.js';
import { isSaveDue, SaveCost } from './save-cadence.js';
import { type GradientWire, gatherMoments } from './sharded-optimizer.js';
import { stateFacts, stateTensors } from './state-checkpoint.js';
import type { TrainState } from './train-state.js';

export interface SavedRun {
  readonly config: TrainingConfig;
  readonly plan: Plan;
  readonly state: TrainState;
  readonly metrics: RunMetrics;
  /** How gradients travel, which may have a state of its own. */
  readonly gradientWire?: GradientWire;
}

/** A failure of any rank, as all are told of it. */
interface Failed {
  readonly error: { readonly code: SlipError['code']; readonly message: string };
}

/** What a rank has written, and how long that took. */
interface Share {
  readonly written: readonly WrittenShard[];
  readonly writeMs: number;
}

/** A save that all ranks have begun. */
interface UnderWay {
  readonly options: CommitOptions;
  readonly temporary: string;
  /** This rank's. */
  readonly share: Promise<Share>;
  isWriting: boolean;
}

export class Checkpointer {
  private readonly group: ProcessGroup;
  private readonly log: Logger;
  private readonly folder: string;
  private readonly configHash: string;
  private readonly writer = new ShardWriter();
  private readonly cost = new SaveCost();
  private savedStep: number;
  private lastCostMs: number | undefined;
  /** How long the step under way waited in `release`. */
  private heldUpMs = 0;
  private lastBeganAt = performance.now();
  private underWay: UnderWay | undefined;
  /** What the last save replaces is gone. */
  private cleared = Promise.resolve();

  /** @param options.savedStep the step already on disk, if the run was resumed */
  constructor(options: { runFolder: string; group: ProcessGroup; configHash: string; log: Logger; savedStep: number }) {
    this.group = options.group;
    this.log = options.log;
    this.folder = path.join(options.runFolder, 'checkpoints');
    this.configHash = options.configHash;
    this.savedStep = options.savedStep;
  }

  /** Whether a save is under way, on all ranks alike. */
  get isUnderWay(): boolean {
    return this.underWay !== undefined;
  }

  /** Whether this rank is still writing its share. */
  get isWriting(): boolean {
    return this.underWay?.isWriting === true;
  }

  /** Whether this rank's clock asks for a save; the ranks have to agree on one of them. */
  isDue({ config }: Pick<SavedRun, 'config'>): boolean {
    const cadence = { everyMinutes: config.checkpointEveryMinutes, overheadPercent: config.checkpointOverhead };
    return !this.isUnderWay && isSaveDue(cadence, performance.now() - this.lastBeganAt, this.lastCostMs);
  }

  noteStep(stepMs: number): void {
    this.cost.noteStep(stepMs - this.heldUpMs, this.isUnderWay);
    this.heldUpMs = 0;
  }

  /**
   * To be awaited on every rank before parameters, moments or what else the optimizer keeps are changed on any: until then the save
   * under way reads them where they lie.
   */
  async release(): Promise<void> {
    if (!this.isWriting) return;
    const startedAt = performance.now();
    await this.writer.release();
    this.heldUpMs = performance.now() - startedAt;
    this.cost.noteStall(this.heldUpMs);
  }

  /**
   * Begins to save the current step, once: returns at once, or with `--checkpoint-mode sync` when it is safe. A
   * save that is still under way is waited for. Collective.
   * @throws SlipError `checkpoint` as `finish` does
   */
  async begin(run: SavedRun, isLast = false): Promise<void> {
    await this.finish(run);
    if (run.state.step === this.savedStep) return;
    const startedAt = performance.now();
    this.lastBeganAt = startedAt;
    await gatherMoments(run.state, this.group);
    const files = withOwnStatistics(stateTensors(run.state), run.state);
    const own = this.ownTensors(run);
    const bytes = bytesOf(Object.values(files).flat());
    const { step } = run.state;
    const place = await this.onFirstRank(step, async () => {
      await this.cleared;
      return beginSave(this.folder, step, bytes + this.group.worldSize * bytesOf(own));
    });
    if ('error' in place) return this.giveUp(run, place.error, isLast);
    const able = await this.ranksThatSee(place.value);
    const writers = chooseWriters(able, bytes, run.config.checkpointWriters);
    const share = shareOf(files, step, writers.indexOf(this.group.rank), writers.length);
    if (own.length > 0) share.push(...this.ownShare(own, step, able));
    const written = this.writeShare(place.value, share);
    const underWay: UnderWay = {
      options: this.commitOptions(run),
      temporary: place.value,
      share: written,
      isWriting: true,
    };
    const ended = () => {
      underWay.isWriting = false;
    };
    written.then(ended, ended);
    this.underWay = underWay;
    this.cost.noteStall(performance.now() - startedAt);
    if (run.config.checkpointMode === 'sync') await this.finish(run, isLast);
  }

  /**
   * Waits until the save under way, if any, is safe on disk. Collective.
   * @throws SlipError `checkpoint` when it failed, and `--on-checkpoint-error stop` or `isLast` says that this matters
   */
  async finish(run: SavedRun, isLast = false): Promise<void> {
    const { underWay } = this;
    if (underWay === undefined) return;
    const startedAt = performance.now();
    const { options, temporary } = underWay;
    const all = await this.group.allGatherObject(await settled(this.folder, options.step, underWay.share));
    this.underWay = undefined;
    const failed = all.find((one): one is Failed => 'error' in one);
    if (failed !== undefined) return this.giveUp(run, failed.error, isLast, temporary);
    const shares = all.filter((one): one is Share => 'written' in one);
    const shards = byFile(shares.flatMap(({ written }) => written));
    const commit = await this.onFirstRank(options.step, async () => {
      const { cleared, ...saved } = await commitSave(this.folder, temporary, shards, {
        ...options,
        isOneOfMany: !isLast,
      });
      this.cleared = cleared;
      return saved;
    });
    if ('error' in commit) return this.giveUp(run, commit.error, isLast, temporary);
    this.savedStep = options.step;
    this.cost.noteStall(performance.now() - startedAt);
    const { stallMs, costMs } = this.cost.take();
    this.lastCostMs = costMs;
    const writeMs = Math.max(...shares.map((one) => one.writeMs));
    if (this.group.rank === 0) this.report(run, options.step, commit.value, stallMs, writeMs);
  }

  /** Keeps the checkpoint of `step`, which must be safe, as the best so far. Collective. */
  async markBest(run: SavedRun, step: number): Promise<void> {
    await this.finish(run);
    if (this.savedStep !== step) return;
    const marked = await this.onFirstRank(step, () => markBest(this.folder, step));
    if ('error' in marked) await this.giveUp(run, marked.error);
  }

  /** Ends what is under way without finishing it. */
  async close(): Promise<void> {
    await this.writer.close();
    await this.cleared;
    if (this.group.rank !== 0) return;
    if (this.underWay !== undefined) await abandonSave(this.underWay.temporary);
    await dropSpares(this.folder);
  }

  private async writeShare(temporary: string, share: readonly ShardFile[]): Promise<Share> {
    const startedAt = performance.now();
    const written = share.length === 0 ? [] : await this.writer.write(temporary, share);
    return { written, writeMs: performance.now() - startedAt };
  }

  private commitOptions({ config, plan, state }: SavedRun): CommitOptions {
    return {
      step: state.step,
      state: stateFacts(state, config, {
        epoch: Math.floor(state.step / plan.stepsPerEpoch),
        batchInEpoch: (state.step % plan.stepsPerEpoch) * config.updateFreq,
        configHash: this.configHash,
      }),
      keepLast: config.keepCheckpoints,
      keep: (step) => config.keepEvery > 0 && step % config.keepEvery === 0,
      log: this.log,
    };
  }

  private async ranksThatSee(temporary: string): Promise<number[]> {
    const sight = await this.group.allGatherObject(existsSync(temporary));
    return sight.flatMap((sees, rank) => (sees ? [rank] : []));
  }

  /** What only this rank has. */
  private ownTensors({ gradientWire }: SavedRun): NamedTensor[] {
    return gradientWire === undefined || typeof gradientWire === 'string'
      ? []
      : powerSgdTensors(gradientWire, this.group.rank);
  }

  /** Nobody else can write it, so it is saved only where all ranks can. */
  private ownShare(tensors: readonly NamedTensor[], step: number, able: readonly number[]): ShardFile[] {
    const { rank, worldSize } = this.group;
    if (able.length === worldSize) {
      const name = shardName(POWERSGD_FILE, rank, worldSize);
      return [{ file: POWERSGD_FILE, name, tensors, metadata: fileMetadata(step) }];
    }
    if (rank === 0)
      this.log.warn('the errors that PowerSGD keeps are not saved: some ranks do not see the run folder of rank 0');
    return [];
  }

  private report(
    run: SavedRun,
    step: number,
    { path: place, bytes }: { path: string; bytes: number },
    stallMs: number,
    writeMs: number,
  ): void {
    run.metrics.checkpoint({ step, bytes, stallMs, writeMs });
    this.log.info(
      `saved step ${step} to ${place}: ${(bytes / 1e6).toFixed(1)} MB in ${(writeMs / 1000).toFixed(2)} s ` +
        `(${(bytes / 1e3 / writeMs).toFixed(0)} MB/s), training stood still for ${stallMs.toFixed(0)} ms`,
    );
  }

  private async giveUp(run: SavedRun, error: Failed['error'], isLast = false, temporary?: string): Promise<void> {
    this.cost.take();
    if (temporary !== undefined && this.group.rank === 0) await abandonSave(temporary);
    if (isLast || run.config.onCheckpointError === 'stop') throw new SlipError(error.code, error.message);
    if (this.group.rank === 0)
      this.log.error(`${error.message}; training goes on (--on-checkpoint-error stop ends it instead)`);
  }

  /** Rank 0 works while the others wait; all have its result, or its failure. */
  private async onFirstRank<T>(step: number, work: () => Promise<T>): Promise<{ value: T } | Failed> {
    const outcome = this.group.rank === 0 ? await this.outcomeOf(step, work) : null;
    const [first] = await this.group.allGatherObject(outcome);
    return first!;
  }

  private async outcomeOf<T>(step: number, work: () => Promise<T>): Promise<{ value: T } | Failed> {
    try {
      return { value: await work() };
    } catch (error) {
      return { error: await described(this.folder, step, error) };
    }
  }
}

/** Those that see the folder of rank 0 write, as many as pay, spread over the ranks and so over the machines. */
function chooseWriters(able: readonly number[], bytes: number, wanted: number): number[] {
  const count = countWriters(bytes, able.length, wanted);
  return Array.from({ length: count }, (_, i) => able[Math.floor((i * able.length) / count)]);
}

/** Running statistics change with the next forward pass, long before the parameters: they are copied. */
function withOwnStatistics(
  files: Readonly<Record<string, readonly NamedTensor[]>>,
  { buffers }: TrainState,
): Record<string, NamedTensor[]> {
  const own = (tensor: NamedTensor): NamedTensor =>
    tensor.data.buffer === buffers.buffer ? { ...tensor, data: tensor.data.slice() } : tensor;
  return Object.fromEntries(Object.entries(files).map(([file, tensors]) => [file, tensors.map(own)]));
}

function bytesOf(tensors: readonly NamedTensor[]): number {
  return tensors.reduce((sum, { data }) => sum + data.byteLength, 0);
}

/** The files that writer `index` of `count` writes; none for -1. */
function shareOf(
  files: Readonly<Record<string, readonly NamedTensor[]>>,
  step: number,
  index: number,
  count: number,
): ShardFile[] {
  if (index === -1) return [];
  return Object.entries(files).map(([file, tensors]) => ({
    file,
    name: shardName(file, index, count),
    tensors: divideTensors(tensors, count)[index],
    metadata: fileMetadata(step),
  }));
}

function byFile(written: readonly WrittenShard[]): Record<string, ManifestShard[]> {
  const shards: Record<string, ManifestShard[]> = {};
  for (const { file, ...shard } of written) {
    shards[file] ??= [];
    shards[file].push(shard);
  }
  return shards;
}

async function settled(folder: string, step: number, share: Promise<Share>): Promise<Share | Failed> {
  try {
    return await share;
  } catch (error) {
    return { error: await described(folder, step, error) };
  }
}

async function described(folder: string, step: number, error: unknown): Promise<Failed['error']> {
  const { code, message } = await saveFailure(folder, step, error);
  return { code, message };
}
