// Builds everything a pre-training worker needs, in the order in which it can fail, runs it, and closes it again.
import os from 'node:os';
import path from 'node:path';
import { findLatestCheckpoint, markLatest, openCheckpoint } from '@slip/checkpoint';
import type { ProcessGroup } from '@slip/comms';
import { describeRows, modelOf, type Plan, planPretrain, type RunConfig, rowsOfRanks, writePlan } from '@slip/config';
import { type Logger, SlipError } from '@slip/core';
import { createTrainLoader, type IndexingProgress, type TrainLoader } from '@slip/data';
import { type Completion, createOnnxExecutor, type StepCollectives, type StepExecutor } from '@slip/engine';
import { createRunMetrics, hiddenShare, type RunMetrics, renderReport } from '@slip/metrics';
import { lrSchedule, trainStep } from '@slip/model';
import { countParameters, type ModelConfig } from '@slip/model/architecture';
import { findPretrained } from '@slip/weights';
import { prepareValidation, type Validation } from '../evaluation/validation.js';
import type { WorkerEnvironment, WorkerSession } from '../session/session.js';
import { withGroup } from '../session/with-group.js';
import { Checkpointer } from './checkpointer.js';
import { type CollectiveClock, createCollectiveClock, timedCollectives } from './collective-clock.js';
import { planBuckets } from './gradient-buckets.js';
import { createGradientWire } from './gradient-wire.js';
import { type Lane, type LanePlan, laneCollectives, planLanes } from './lanes.js';
import { loadPretrained } from './pretrained.js';
import { restoreModel, restoreTrainState } from './state-checkpoint.js';
import { listenForStop } from './stop-request.js';
import { createTrainState, stateChecksum, type TrainState, tensorView } from './train-state.js';
import { type TrainOutcome, train } from './trainer.js';

export interface PretrainContext {
  readonly config: RunConfig;
  readonly configHash: string;
  readonly environment: WorkerEnvironment;
  readonly session: WorkerSession;
  readonly log: Logger;
}

/** The whole life of a pre-training worker. */
export async function runPretrain(context: PretrainContext): Promise<TrainOutcome> {
  // Before the group is opened: from then on a signal asks for a stop at a step boundary.
  const stop = listenForStop((signal) => context.log.warn(`${signal} received: stopping after the current step`));
  return withGroup(context, context.config, (group) => pretrain(context, group, stop));
}

async function pretrain(
  context: PretrainContext,
  group: ProcessGroup,
  stop: { readonly signal: NodeJS.Signals | undefined },
): Promise<TrainOutcome> {
  const { config, environment, log } = context;
  const closers: (() => Promise<unknown>)[] = [];
  try {
    const model = modelOf(config);
    const threads = threadsPerWorker(config, environment);
    const validation = await prepareValidation({ config, model, group, threads, log, required: config.evaluate });
    if (config.evaluate) return await evaluateOnly(context, model, group, validation!);

    const shards = config.reduce === 'invariant' ? config.reduceShards : 0;
    const lanePlan = planLanes(shards, group.rank, rowsOfRanks(config));
    const loaders: TrainLoader[] = [];
    for (let lane = 0; lane < lanePlan.count; lane++) {
      const loader = await createTrainLoader(loaderOptions(config, model, lanePlan, lane), tellIndexing(log));
      closers.unshift(() => loader.close());
      loaders.push(loader);
    }
    const plan = planPretrain(config, loaders[0].datasetSize);
    if (group.rank === 0) await writePlan(config.outputDir, plan);
    const state = await createTrainState(model, config.seed, group);
    const checkpoint = await restore(context, state, group);
    await checkRanksAgree(group, state);
    const metrics = await openMetrics(context, plan, state);
    closers.unshift(() => metrics.close());
    const clock = createCollectiveClock(group);
    const compiledAt = performance.now();
    const lanes: Lane[] = [];
    for (const [lane, collectives] of laneCollectives(timedCollectives(group, clock), lanePlan.count).entries()) {
      const grads = lanePlan.count === 1 ? state.grads : new Float32Array(state.grads.length);
      const microGrads = config.updateFreq === 1 ? grads : new Float32Array(grads.length);
      const step = { model, config, state, microGrads, collectives, threads };
      const executor = await compileTrainStep(step, lanePlan, lane);
      closers.unshift(() => executor.close());
      lanes.push({ executor, loader: loaders[lane], microGrads, grads });
    }
    const gradientWire = await createGradientWire(config, state, group, log);
    if (group.rank === 0) announce(context, model, plan, state, lanes, performance.now() - compiledAt);

    const checkpointer = new Checkpointer({
      ...{ runFolder: config.outputDir, group, log },
      configHash: context.configHash,
      savedStep: checkpoint?.step ?? -1,
    });
    closers.unshift(() => checkpointer.close());
    const outcome = await train({
      config,
      plan,
      state,
      lanes,
      metricNames: metricNames(model),
      group,
      clock,
      gradientWire,
      stopRequested: () => stop.signal !== undefined,
      checkpointer,
      saving: {
        get isUnderWay() {
          return checkpointer.isUnderWay;
        },
        get isWriting() {
          return checkpointer.isWriting;
        },
        get isDue() {
          return checkpointer.isDue({ config });
        },
      },
      metrics,
      validation,
      learningRate: lrSchedule({ ...config, stepsPerEpoch: plan.stepsPerEpoch }),
      reportStep: (step) => context.session.reportStep(step),
      log,
    });
    if (group.rank === 0) await finishRun(context, plan, state, lanes, clock, outcome);
    await group.barrier();
    return outcome;
  } finally {
    for (const close of closers) await close();
  }
}

/** Cores divided among the workers of this node, unless `--threads` says otherwise. */
function threadsPerWorker(config: RunConfig, { localWorldSize, numCpus }: WorkerEnvironment): number {
  if (config.threads > 0) return config.threads;
  return Math.max(1, numCpus ?? Math.floor(os.availableParallelism() / localWorldSize));
}

/** The run folder's newest valid checkpoint wins; `--resume` and `--pretrained` only matter where there is none yet. */
async function restore({ config, environment, log }: PretrainContext, state: TrainState, group: ProcessGroup) {
  const own = await findLatestCheckpoint(path.join(config.outputDir, 'checkpoints'), { log });
  const checkpoint = own ?? (config.resume === '' ? undefined : await openCheckpoint(config.resume, { verify: true }));
  if (checkpoint === undefined) {
    if (config.pretrained !== '') {
      const file = await findPretrained(config.pretrained, environment.cacheFolder);
      await loadPretrained(file, modelOf(config), state, group.rank === 0 ? log : undefined);
      if (group.rank === 0) log.info(`starting from the weights of ${file}`);
    } else if (config.evaluate) {
      throw new SlipError(
        'checkpoint',
        `--evaluate needs a checkpoint: none in ${config.outputDir}, no --resume and no --pretrained`,
      );
    }
    return undefined;
  }
  if (config.evaluate) await restoreModel(checkpoint, state);
  else await restoreTrainState(checkpoint, state, config.rowsPerMicroBatch);
  if (group.rank === 0) {
    if (own !== undefined) await markLatest(path.dirname(own.path), own.step);
    log.info(`continuing from ${checkpoint.path} (step ${state.step})`);
  }
  return own;
}

async function evaluateOnly(
  context: PretrainContext,
  model: ModelConfig,
  group: ProcessGroup,
  validation: Validation,
): Promise<TrainOutcome> {
  const state = await createTrainState(model, context.config.seed, group);
  await restore(context, state, group);
  context.log.info((await validation.run(state)).summary);
  return 'completed';
}

function loaderOptions(config: RunConfig, model: ModelConfig, { first, rows }: LanePlan, lane: number) {
  const views = {
    CLIP: ['image', 'tokens'] as const,
    SIMCLR: ['aug1', 'aug2'] as const,
    SLIP: ['image', 'tokens', 'aug1', 'aug2'] as const,
  };
  const { dataset, root, metadata, indexDir, csvImgKey, csvCaptionKey } = config;
  return {
    dataset: { dataset, root, metadata, indexDir, csvImgKey, csvCaptionKey },
    views: views[model.family],
    imageSize: model.vision.imageSize,
    contextLength: model.text?.contextLength ?? 0,
    rank: first + lane,
    rows,
    seed: config.seed,
    sampler: config.sampler,
    truncate: config.truncate,
    workers: config.workers,
    badSamples: config.badSamples,
  };
}

/** A set that is opened for the first time takes a while; a line every few seconds says so. */
function tellIndexing(log: Logger): IndexingProgress {
  let told = performance.now();
  return (records, part) => {
    if (performance.now() - told < 3000) return;
    told = performance.now();
    log.info(`first start with this set: ${records.toLocaleString('en-US')} records read, ${Math.round(100 * part)} %`);
  };
}

/** A rank that starts from something else would silently train another model. */
async function checkRanksAgree(group: ProcessGroup, state: TrainState): Promise<void> {
  const sums = await group.allGatherObject(stateChecksum(state));
  const other = sums.findIndex((sum) => sum !== sums[0]);
  if (other > 0) {
    throw new SlipError(
      'checkpoint',
      `rank ${other} starts from other weights than rank 0; do all nodes see the same run folder?`,
    );
  }
}

function openMetrics(
  { config, environment, session, log }: PretrainContext,
  plan: Plan,
  state: TrainState,
): Promise<RunMetrics> {
  return createRunMetrics({
    runDir: config.outputDir,
    enabled: environment.rank === 0,
    showProgress: (progress) => session.showProgress(progress),
    totalSteps: plan.totalSteps,
    stepsPerEpoch: plan.stepsPerEpoch,
    startStep: state.step,
    family: modelOf(config).family,
    log,
    ...(config.wandb
      ? {
          wandb: {
            project: 'slip',
            id: path.basename(path.resolve(config.outputDir)),
            python: environment.wandbPython,
          },
        }
      : {}),
  });
}

interface LaneStep {
  readonly model: ModelConfig;
  readonly config: RunConfig;
  readonly state: TrainState;
  readonly microGrads: Float32Array;
  readonly collectives: StepCollectives;
  readonly threads: number;
}

function compileTrainStep(
  { model, config, state, microGrads, collectives, threads }: LaneStep,
  { first, rows }: LanePlan,
  lane: number,
): Promise<StepExecutor> {
  const { gather, sslScale, sslTemp } = config;
  const rank = first + lane;
  const step = trainStep(model, { rank, rows, gather, sslScale, sslTemp });
  const inputs: Record<string, Float32Array> = {};
  const outputs: Record<string, Float32Array> = {};
  for (const entry of state.entries) {
    if (entry.kind !== 'param') continue;
    inputs[`param/${entry.name}`] = tensorView(state, state.params, entry.name);
    outputs[`grad/${entry.name}`] = tensorView(state, microGrads, entry.name);
  }
  const milestones = bucketMilestones(config, state, rows.length);
  return createOnnxExecutor(step, {
    ...{ rank, worldSize: rows.length, rows, threads, collectives, inputs, outputs },
    ...(milestones === undefined ? {} : { milestones }),
  });
}

/**
 * The step is asked for the gradients bucket by bucket, which decides the buckets of the state. Virtual ranks add up their gradients
 * before any leaves, and one rank sends nothing.
 */
function bucketMilestones({ bucketMb, reduce }: RunConfig, state: TrainState, worldSize: number) {
  if (worldSize === 1 || bucketMb === 0 || reduce === 'invariant') return undefined;
  const elements = Math.ceil((bucketMb * 1e6) / Float32Array.BYTES_PER_ELEMENT);
  return (completion: Completion) => {
    state.buckets = planBuckets(state.entries, (name) => completion.get(`grad/${name}`)!, elements, worldSize);
    return state.buckets.map(({ names }) => names.map((name) => `grad/${name}`));
  };
}

function metricNames(model: ModelConfig): readonly string[] {
  return {
    CLIP: ['loss', 'clip_loss', 'clip_acc'],
    SIMCLR: ['loss', 'ssl_loss', 'ssl_acc'],
    SLIP: ['loss', 'clip_loss', 'ssl_loss', 'clip_acc', 'ssl_acc'],
  }[model.family];
}

function announce(
  { config, log }: PretrainContext,
  model: ModelConfig,
  plan: Plan,
  state: TrainState,
  lanes: readonly Lane[],
  compileMs: number,
): void {
  log.info(
    `${model.name}: ${countParameters(model).toLocaleString('en')} parameters, ${describeRows(rowsOfRanks(config))} rows ` +
      `x update-freq ${config.updateFreq} = ${plan.globalBatch}; ${plan.stepsPerEpoch} steps per epoch, ${plan.totalSteps} in all`,
  );
  const [{ executor }] = lanes;
  const each = lanes.length === 1 ? '' : `, for each of ${lanes.length} lanes`;
  log.info(
    `step compiled in ${(compileMs / 1000).toFixed(1)} s: ${executor.stats.nodes} nodes, ${executor.stats.segments} segments, ` +
      `${executor.stats.collectives} collectives${each}; starting at step ${state.step}`,
  );
}

async function finishRun(
  { config, log }: PretrainContext,
  plan: Plan,
  state: TrainState,
  lanes: readonly Lane[],
  { run }: CollectiveClock,
  outcome: TrainOutcome,
): Promise<void> {
  const replaced = lanes.reduce((sum, { loader }) => sum + loader.replacedSamples, 0);
  if (replaced > 0) log.warn(`${replaced} unreadable samples were replaced`);
  if (run.commMs > run.exposedMs) {
    log.info(`communication hidden: ${(100 * hiddenShare(run.commMs, run.exposedMs)).toFixed(0)} %`);
  }
  const report = await renderReport({ runDir: config.outputDir, title: path.basename(path.resolve(config.outputDir)) });
  log.info(
    outcome === 'completed'
      ? `finished at step ${state.step} of ${plan.totalSteps}; report: ${report}`
      : `stopped at step ${state.step} of ${plan.totalSteps}, saved; the same command continues`,
  );
}
