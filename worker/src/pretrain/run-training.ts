// Builds everything a training worker needs, in the order in which it can fail, runs it, and closes it again. What is trained,
// on what and how is the task's (run-pretrain.ts, ../classify).
import os from 'node:os';
import path from 'node:path';
import { type Checkpoint, markLatest } from '@slip/checkpoint';
import type { ProcessGroup } from '@slip/comms';
import {
  checkTraining,
  describeRows,
  type Plan,
  rowsOfRanks,
  scalesLoss,
  type TrainingConfig,
  writePlan,
} from '@slip/config';
import { type Logger, SlipError } from '@slip/core';
import { createTrainLoader, type IndexingProgress, type TrainLoader, type TrainLoaderOptions } from '@slip/data';
import {
  type Completion,
  CPU,
  type Device,
  type HalfType,
  type StepCollectives,
  type StepDefinition,
  type StepExecutor,
} from '@slip/engine';
import { createRunMetrics, type Family, hiddenShare, type RunMetrics, renderReport } from '@slip/metrics';
import type { StateLayout } from '@slip/model/architecture';
import type { Validation } from '../evaluation/validation.js';
import { profiledCollectives, StepProfile } from '../profile/step-profile.js';
import type { WorkerEnvironment, WorkerSession } from '../session/session.js';
import { takeDevice } from '../session/take-device.js';
import { withGroup } from '../session/with-group.js';
import { Checkpointer } from './checkpointer.js';
import { type CollectiveClock, createCollectiveClock, timedCollectives } from './collective-clock.js';
import { continueFrom, continueRun } from './continue-run.js';
import { DeviceState, deviceUpdate } from './device-state.js';
import { planBuckets } from './gradient-buckets.js';
import { createGradientWire } from './gradient-wire.js';
import { type Feed, type Lane, type LanePlan, laneCollectives, planLanes } from './lanes.js';
import { freshLossScale } from './loss-scale.js';
import {
  describeEstimate,
  describePeak,
  estimateWorkerMemory,
  explainOutOfMemory,
  memoryRefusal,
  memoryWarning,
  roomOf,
} from './memory.js';
import type { Optimizer } from './optimizer.js';
import { tellReplaced } from './replaced-samples.js';
import { stateInputs } from './state-inputs.js';
import { listenForStop } from './stop-request.js';
import { createTrainState, differingRanks, stateSums, type TrainState, tensorView } from './train-state.js';
import type { TrainStepParts } from './train-step.js';
import { type TrainOutcome, train } from './trainer.js';

export interface WorkerContext<C extends TrainingConfig> {
  readonly config: C;
  readonly configHash: string;
  readonly environment: WorkerEnvironment;
  readonly session: WorkerSession;
  readonly log: Logger;
}

/** What a task has to know of its place. */
export interface TaskPlace {
  readonly group: ProcessGroup;
  /** Compute threads of this worker. */
  readonly threads: number;
  readonly device: Device;
  readonly log: Logger;
  readonly cacheFolder: string;
}

/** What a task brings to the training that all tasks have. */
export interface TrainingParts {
  /** For people: the model and its size. */
  readonly title: string;
  readonly metrics: Family;
  readonly metricNames: readonly string[];
  readonly layout: StateLayout;
  optimizer(plan: Plan): Optimizer;
  readonly clipGrad?: number;
  /** Undefined where there is nothing to validate on. */
  readonly validation: Validation | undefined;
  /** Only validate. */
  readonly evaluate: boolean;
  loaderOptions(plan: LanePlan, rank: number): TrainLoaderOptions;
  plan(datasetSize: number): Plan;
  learningRate(plan: Plan): (step: number) => number;
  /** The step of a rank, perhaps a virtual one. */
  step(plan: LanePlan, rank: number): StepDefinition;
  /** How batches and what else belongs to a micro-batch get into that step. */
  feed(executor: StepExecutor, plan: LanePlan, rank: number, datasetSize: number): Feed;
  /** Fills a fresh state for a run that has no checkpoint. @throws SlipError where there is nothing to begin with */
  begin(state: TrainState): Promise<void>;
}

/** The whole life of a worker that trains. */
export async function runTraining<C extends TrainingConfig>(
  context: WorkerContext<C>,
  prepare: (place: TaskPlace) => Promise<TrainingParts>,
): Promise<TrainOutcome> {
  // Before the group is opened: from then on a signal asks for a stop at a step boundary.
  const stop = listenForStop((signal) => context.log.warn(`${signal} received: stopping after the current step`));
  return withPlace(context, async (place) => {
    const { group, threads, device } = place;
    const parts = await prepare(place);
    if (parts.evaluate) return evaluateOnly(context, parts, place);
    return trainAll(context, parts, { group, threads, device, stop });
  });
}

/** Opens the group of this worker for a task, and closes it again. */
export function withPlace<C extends TrainingConfig, T>(
  context: WorkerContext<C>,
  work: (place: TaskPlace) => Promise<T>,
): Promise<T> {
  const { config, environment, log } = context;
  const threads = threadsPerWorker(config, environment);
  return withGroup(context, config, async (group) => {
    const device = await takeDevice(config.device, environment, group, log);
    // What `auto` found may lack what the run asks for.
    checkTraining({ ...config, device: device.kind });
    return work({ group, threads, device, log, cacheFolder: environment.cacheFolder });
  });
}

interface Running {
  readonly group: ProcessGroup;
  readonly threads: number;
  readonly device: Device;
  readonly stop: { readonly signal: NodeJS.Signals | undefined };
}

async function trainAll(context: WorkerContext<TrainingConfig>, parts: TrainingParts, running: Running) {
  const { config, log } = context;
  const { group, threads, device, stop } = running;
  const closers: (() => Promise<unknown>)[] = [];
  try {
    const shards = config.reduce === 'invariant' ? config.reduceShards : 0;
    const lanePlan = planLanes(shards, group.rank, rowsOfRanks(config));
    const loaders: TrainLoader[] = [];
    for (let lane = 0; lane < lanePlan.count; lane++) {
      const loader = await createTrainLoader(parts.loaderOptions(lanePlan, lanePlan.first + lane), tellIndexing(log));
      closers.unshift(() => loader.close());
      loaders.push(loader);
    }
    const plan = parts.plan(loaders[0].datasetSize);
    if (group.rank === 0) await writePlan(config.outputDir, plan);
    const optimizer = parts.optimizer(plan);
    const state = await createTrainState(parts.layout, config.seed, group, optimizer.moments, device);
    if (scalesLoss(config)) state.lossScale = freshLossScale();
    const { own, from } = await restore(context, parts, state, group);
    await checkRanksAgree(group, state);
    const metrics = await openMetrics(context, parts, plan, state);
    closers.unshift(() => metrics.close());
    const clock = createCollectiveClock(group);
    const compiledAt = performance.now();
    const lanes: Lane[] = [];
    let deviceState: DeviceState | undefined;
    const profile = openProfile(context, group.rank);
    const talking = profiledCollectives(timedCollectives(group, clock), profile);
    for (const [lane, collectives] of laneCollectives(talking, lanePlan.count).entries()) {
      const grads = lanePlan.count === 1 ? state.grads : new Float32Array(state.grads.length);
      const microGrads = config.updateFreq === 1 ? grads : new Float32Array(grads.length);
      const rank = lanePlan.first + lane;
      const definition = parts.step(lanePlan, rank);
      if (device.keepsTensors) {
        const kept = await DeviceState.create(device, state, optimizer, threads, definition);
        closers.unshift(() => kept.close());
        deviceState = kept;
      }
      const step = { definition, config, state, microGrads, collectives, threads, profile };
      const executor = await compileTrainStep(step, lanePlan, rank, deviceState);
      closers.unshift(() => executor.close());
      const feed = parts.feed(executor, lanePlan, rank, loaders[lane].datasetSize);
      lanes.push({ executor, loader: loaders[lane], feed, microGrads, grads });
    }
    const gradientWire = await createGradientWire(config, state, group, log, from);
    const compileMs = performance.now() - compiledAt;
    await checkRoom(config, device, lanes, group, from !== undefined);
    const memory = estimateWorkerMemory(state, lanes);
    if (group.rank === 0) announce(context, parts, plan, state, lanes, compileMs, memory);

    const checkpointer = new Checkpointer({
      ...{ runFolder: config.outputDir, group, log },
      configHash: context.configHash,
      savedStep: own?.step ?? -1,
    });
    closers.unshift(() => checkpointer.close());
    const { clipGrad, metricNames, validation } = parts;
    const stepParts: TrainStepParts = {
      ...{ config, state, lanes, metricNames, group, clock, gradientWire, optimizer },
      ...(clipGrad === undefined ? {} : { clipGrad }),
      ...(profile === undefined ? {} : { profile }),
      stopRequested: () => stop.signal !== undefined,
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
        release: () => checkpointer.release(),
      },
    };
    const outcome = await train({
      ...stepParts,
      ...{ plan, validation, metrics, log, checkpointer },
      ...(deviceState === undefined ? {} : { update: deviceUpdate(stepParts, deviceState) }),
      learningRate: parts.learningRate(plan),
      reportStep: (step) => context.session.reportStep(step),
    });
    await profile?.end(lanes.map(({ executor }) => executor));
    await tellReplaced(loaders, group, log);
    if (group.rank === 0) await finishRun(context, plan, state, clock, outcome, memory);
    await group.barrier();
    return outcome;
  } catch (thrown) {
    throw explainOutOfMemory(thrown, config);
  } finally {
    for (const close of closers) await close();
  }
}

function openProfile({ config, log }: WorkerContext<TrainingConfig>, rank: number): StepProfile | undefined {
  const { profile: steps, outputDir } = config;
  return steps === 0 ? undefined : new StepProfile({ folder: path.join(outputDir, 'profile'), rank, steps, log });
}

/** Cores divided among the workers of this node, unless `--threads` says otherwise. */
export function threadsPerWorker(
  config: Pick<TrainingConfig, 'threads'>,
  { localWorldSize, numCpus }: WorkerEnvironment,
): number {
  if (config.threads > 0) return config.threads;
  return Math.max(1, numCpus ?? Math.floor(os.availableParallelism() / localWorldSize));
}

/** The run folder's newest valid checkpoint wins; `--resume` and what the task begins with only matter where there is none yet. */
async function restore(
  { config, log }: WorkerContext<TrainingConfig>,
  parts: TrainingParts,
  state: TrainState,
  group: ProcessGroup,
): Promise<{ own?: Checkpoint | undefined; from?: Checkpoint }> {
  const options = { modelOnly: parts.evaluate, globalBatch: config.rowsPerMicroBatch, group, log };
  const own = await continueRun(path.join(config.outputDir, 'checkpoints'), state, options);
  const checkpoint = own ?? (config.resume === '' ? undefined : await continueFrom(config.resume, state, options));
  if (checkpoint === undefined) {
    await parts.begin(state);
    return {};
  }
  if (group.rank === 0) {
    if (own !== undefined) await markLatest(path.dirname(own.path), own.step);
    log.info(`continuing from ${checkpoint.path} (step ${state.step})`);
  }
  return { own, from: checkpoint };
}

async function evaluateOnly(
  context: WorkerContext<TrainingConfig>,
  parts: TrainingParts,
  { group, device }: TaskPlace,
): Promise<TrainOutcome> {
  const state = await createTrainState(parts.layout, context.config.seed, group, [], device);
  await restore(context, parts, state, group);
  context.log.info((await parts.validation!.run(state)).summary);
  return 'completed';
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
  const differing = differingRanks(await group.allGatherObject(stateSums(state, group)));
  if (differing !== undefined) {
    throw new SlipError(
      'checkpoint',
      `rank ${differing[1]} starts from another state than rank ${differing[0]}; do all nodes see the same run folder?`,
    );
  }
}

function openMetrics(
  { config, environment, session, log }: WorkerContext<TrainingConfig>,
  parts: TrainingParts,
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
    family: parts.metrics,
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
  readonly definition: StepDefinition;
  readonly config: TrainingConfig;
  readonly state: TrainState;
  readonly microGrads: Float32Array;
  readonly collectives: StepCollectives;
  readonly threads: number;
  readonly profile: StepProfile | undefined;
}

/** Inputs `param/<name>` and `frozen/<name>` and outputs `grad/<name>` are the arenas themselves, or stay on the device. */
function compileTrainStep(
  { definition, config, state, microGrads, collectives, threads, profile }: LaneStep,
  { rows }: LanePlan,
  rank: number,
  deviceState: DeviceState | undefined,
): Promise<StepExecutor> {
  const { device = CPU } = state;
  const place = {
    ...{ rank, worldSize: rows.length, rows, threads, collectives, anyLength: true },
    recomputation: config.gradCheckpointing ? ('blocks' as const) : ('cheap' as const),
    ...halfOf(config),
    ...(profile === undefined
      ? {}
      : { profilePrefix: profile.kernelPrefix, onSegment: profile.noteSegment.bind(profile) }),
  };
  if (deviceState !== undefined && rows.length === 1) {
    const { memory, gradientNames: kept } = deviceState;
    return device.createExecutor(definition, { ...place, memory, kept });
  }
  const bound = deviceState === undefined ? { inputs: stateInputs(state, definition) } : { memory: deviceState.memory };
  const outputs: Record<string, Float32Array> = {};
  for (const entry of state.entries) {
    if (entry.kind === 'param') outputs[`grad/${entry.name}`] = tensorView(state, microGrads, entry.name);
  }
  const milestones = bucketMilestones(config, state, rows.length);
  return device.createExecutor(definition, {
    ...{ ...place, ...bound, outputs },
    ...(milestones === undefined ? {} : { milestones }),
  });
}

function describePrecision({ precision, device }: TrainingConfig): string {
  if (precision === 'fp32') return `device ${device}, precision fp32`;
  const scaling = scalesLoss({ precision }) ? ', dynamic loss scaling' : '';
  return `device ${device}, precision ${precision}: float32 weights, products in halves${scaling}`;
}

/** The precision of a run as the engine has it; float32 where it has none. */
function halfOf({ precision }: TrainingConfig): { half?: HalfType } {
  if (precision === 'fp32') return {};
  return { half: precision === 'fp16' ? 'float16' : 'bfloat16' };
}

/**
 * The step is asked for the gradients bucket by bucket, which decides the buckets of the state. Virtual ranks add up their gradients
 * before any leaves, and one rank sends nothing.
 */
function bucketMilestones({ bucketMb, reduce }: TrainingConfig, state: TrainState, worldSize: number) {
  if (worldSize === 1 || bucketMb === 0 || reduce === 'invariant') return undefined;
  const elements = Math.ceil((bucketMb * 1e6) / Float32Array.BYTES_PER_ELEMENT);
  return (completion: Completion) => {
    state.buckets = planBuckets(state.entries, (name) => completion.get(`grad/${name}`)!, elements, worldSize);
    return state.buckets.map(({ names }) => names.map((name) => `grad/${name}`));
  };
}

function announce(
  { config, log }: WorkerContext<TrainingConfig>,
  { title }: TrainingParts,
  plan: Plan,
  state: TrainState,
  lanes: readonly Lane[],
  compileMs: number,
  memory: number,
): void {
  log.info(
    `${title}, ${describeRows(rowsOfRanks(config))} rows ` +
      `x update-freq ${config.updateFreq} = ${plan.globalBatch}; ${plan.stepsPerEpoch} steps per epoch, ${plan.totalSteps} in all`,
  );
  const [{ executor }] = lanes;
  const anyLength = executor.lengths === undefined ? '' : ', for captions of any length';
  const each = lanes.length === 1 ? '' : `, for each of ${lanes.length} lanes`;
  log.info(
    `step compiled in ${(compileMs / 1000).toFixed(1)} s${executor.stats.fromCache ? ', its graph from the cache' : ''}: ${executor.stats.nodes} nodes, ${executor.stats.segments} segments, ` +
      `${executor.stats.collectives} collectives${each}${anyLength}; starting at step ${state.step}`,
  );
  const { copies } = executor.stats;
  if (copies !== undefined) log.warn(`steps are slower than they could be, as what they compute is copied: ${copies}`);
  log.info(describePrecision(config));
  log.info(describeEstimate(memory));
  const warning = memoryWarning(memory, config.nprocPerNode, config);
  if (warning !== undefined) log.warn(warning);
}

/** Collective: all ranks are refused for the same reason. @throws SlipError `memory` */
async function checkRoom(
  config: TrainingConfig,
  device: Device,
  lanes: readonly Lane[],
  group: ProcessGroup,
  isContinuing: boolean,
): Promise<void> {
  // What a step takes elsewhere is the device's memory, of which nothing is known here.
  const rooms = await group.allGatherObject(roomOf(lanes));
  const refusal = device.kind === 'cpu' ? memoryRefusal(rooms, config, isContinuing) : undefined;
  if (refusal !== undefined) throw refusal;
}

async function finishRun(
  { config, log }: WorkerContext<TrainingConfig>,
  plan: Plan,
  state: TrainState,
  { run }: CollectiveClock,
  outcome: TrainOutcome,
  memory: number,
): Promise<void> {
  if (run.commMs > run.exposedMs) {
    log.info(`communication hidden: ${(100 * hiddenShare(run.commMs, run.exposedMs)).toFixed(0)} %`);
  }
  log.info(describePeak(memory));
  const report = await renderReport({ runDir: config.outputDir, title: path.basename(path.resolve(config.outputDir)) });
  log.info(
    outcome === 'completed'
      ? `finished at step ${state.step} of ${plan.totalSteps}; report: ${report}`
      : `stopped at step ${state.step} of ${plan.totalSteps}, saved; the same command continues`,
  );
}
