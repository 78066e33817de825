// The resolved configuration of a pre-training run: defaults, recipe and flags made one, and checked as a whole.
import { nearestName, SlipError } from '@slip/core';
import { type Activation, MODEL_NAMES, type ModelConfig, resolveModel } from '@slip/model/architecture';
import { configKey, PRETRAIN_FLAGS } from './flags.js';
import { hashConfig } from './identity.js';
import { flagNamed, readRecipe } from './recipe.js';
import { checkValue } from './values.js';

/** Camel-case keys of the flag table; a test keeps the two equal. */
export interface RunConfig {
  readonly dataset: string;
  readonly root: string;
  readonly metadata: string;
  readonly csvImgKey: string;
  readonly csvCaptionKey: string;
  readonly indexDir: string;
  readonly workers: number;
  readonly sampler: 'slip' | 'torch';
  readonly truncate: 'keep-eot' | 'drop-eot';
  readonly badSamples: 'fail' | 'replace';
  readonly model: string;
  readonly sslMlpDim: number;
  readonly sslEmbDim: number;
  readonly imageSize?: number;
  readonly patchSize?: number;
  readonly visionWidth?: number;
  readonly visionDepth?: number;
  readonly visionHeads?: number;
  readonly visionPreNorm?: boolean;
  readonly patchBias?: boolean;
  readonly visionActivation?: Activation;
  readonly visionNormEps?: number;
  readonly textWidth?: number;
  readonly textDepth?: number;
  readonly textHeads?: number;
  readonly textActivation?: Activation;
  readonly contextLength?: number;
  readonly embedDim?: number;
  readonly sslScale: number;
  readonly sslTemp: number;
  readonly gather: 'full' | 'query-only';
  readonly epochs: number;
  readonly warmupEpochs: number;
  readonly warmupSteps: number;
  readonly startEpoch: number;
  readonly batchSize: number;
  /** Over all ranks: `batchSize` times ranks unless given, or what the run that is continued has. */
  readonly rowsPerMicroBatch: number;
  readonly updateFreq: number;
  readonly lr: number;
  readonly lrStart: number;
  readonly lrEnd: number;
  readonly wd: number;
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly seed: number;
  readonly maxSteps: number;
  readonly outputDir: string;
  readonly resume: string;
  readonly pretrained: string;
  readonly checkpointEverySteps: number;
  readonly checkpointEveryMinutes: number;
  /** Percent. */
  readonly checkpointOverhead: number;
  readonly keepCheckpoints: number;
  readonly keepEvery: number;
  readonly checkpointMode: 'async' | 'sync';
  readonly checkpointWriters: number;
  readonly onCheckpointError: 'continue' | 'stop';
  readonly printFreq: number;
  readonly wandb: boolean;
  readonly evalFreq: number;
  readonly evaluate: boolean;
  readonly valDataset: string;
  readonly catalog: string;
  readonly labels: string;
  readonly templates: string;
  readonly device: string;
  readonly precision: string;
  readonly disableAmp: boolean;
  readonly threads: number;
  readonly reduce: 'fixed' | 'invariant';
  readonly reduceShards: number;
  readonly compress: 'none' | 'bf16' | 'fp16' | 'powersgd';
  readonly powersgdRank: number;
  readonly powersgdStart: number;
  readonly commEncryption: 'auto' | 'on' | 'off';
  readonly bucketMb: number;
  readonly commThread: 'auto' | 'on' | 'off';
  readonly commTimeout: number;
  readonly transport: 'shared' | 'zmq';
  /** Sizes of the launch that resolved this. */
  readonly numNodes: number;
  readonly nprocPerNode: number;
}

export interface ResolvedConfig {
  readonly config: RunConfig;
  readonly hash: string;
  /** `--rows-per-micro-batch` was given, so that nothing else may replace it. */
  readonly rowsAreGiven: boolean;
  /** Lines for people: what was accepted without effect. */
  readonly notices: readonly string[];
  readonly warnings: readonly string[];
}

/** @throws SlipError `config` or `unsupported`, naming the flag or the recipe's line */
export async function resolvePretrainConfig(input: {
  /** By kebab-case name, only those given. */
  readonly flags: Readonly<Record<string, unknown>>;
  readonly recipe?: string;
  readonly launch: { readonly numNodes: number; readonly nprocPerNode: number };
  readonly cwd: string;
}): Promise<ResolvedConfig> {
  const values: Record<string, unknown> = {};
  for (const flag of PRETRAIN_FLAGS) if (flag.default !== undefined) values[configKey(flag.name)] = flag.default;
  const recipe = input.recipe === undefined ? {} : await readRecipe(input.recipe, input.cwd);
  for (const [name, value] of Object.entries(recipe)) values[configKey(name)] = value;
  for (const [name, raw] of Object.entries(input.flags)) {
    const flag = flagNamed(name);
    if (flag === undefined) throw unknownFlag(name);
    values[configKey(flag.name)] = checkValue(flag, raw, `--${flag.name}`);
  }
  const given = new Set([...Object.keys(recipe), ...Object.keys(input.flags).map((name) => name.replaceAll('_', '-'))]);
  // The default is the name of one set's file.
  if (values.dataset !== 'yfcc15m' && !given.has('metadata')) values.metadata = '';
  const { numNodes, nprocPerNode } = input.launch;
  const rowsPerMicroBatch = (values.rowsPerMicroBatch ?? Number(values.batchSize) * numNodes * nprocPerNode) as number;
  const config = { ...values, rowsPerMicroBatch, ...input.launch } as unknown as RunConfig;
  checkTogether(config);
  return {
    config,
    hash: hashConfig(config),
    rowsAreGiven: given.has('rows-per-micro-batch'),
    notices: notices(config),
    warnings: warnings(config, given),
  };
}

/** The model with the run's own sizes. @throws SlipError `config` naming the flag that does not fit */
export function modelOf(config: RunConfig): ModelConfig {
  return resolveModel(config.model, config);
}

/** What only makes sense together. @throws SlipError `config` or `unsupported` naming the flags */
export function checkTogether(config: RunConfig): void {
  if (!MODEL_NAMES.includes(config.model)) {
    const nearest = nearestName(config.model.toUpperCase(), MODEL_NAMES);
    const hint = nearest === undefined ? `there are ${MODEL_NAMES.join(', ')}` : `did you mean ${nearest}?`;
    throw new SlipError('config', `--model ${config.model} is not known; ${hint}`);
  }
  modelOf(config);
  checkRows(config);
  if (config.device !== 'cpu' && config.device !== 'auto') {
    throw new SlipError('unsupported', `--device ${config.device} is not there yet; use --device cpu`);
  }
  if (config.precision !== 'fp32') {
    throw new SlipError(
      'unsupported',
      `--precision ${config.precision} is not there yet; use --precision fp32 (or --disable-amp)`,
    );
  }
  if (config.compress === 'powersgd' && config.reduce === 'invariant') {
    throw new SlipError(
      'config',
      '--compress powersgd keeps errors on every rank, so weights depend on the number of ranks: not with --reduce invariant',
    );
  }
  if (config.resume !== '' && config.pretrained !== '') {
    throw new SlipError(
      'config',
      '--resume continues a run and --pretrained starts one from weights; give one of them',
    );
  }
  if (config.lrStart > config.lr) {
    throw new SlipError(
      'config',
      `--lr-start ${config.lrStart} is above --lr ${config.lr}; the warm-up rises from one to the other`,
    );
  }
  if (config.warmupSteps === 0 && config.warmupEpochs > config.epochs) {
    throw new SlipError('config', `--warmup-epochs ${config.warmupEpochs} is longer than --epochs ${config.epochs}`);
  }
  if (config.startEpoch >= config.epochs) {
    throw new SlipError('config', `--start-epoch ${config.startEpoch} is not below --epochs ${config.epochs}`);
  }
}

function checkRows({ rowsPerMicroBatch: rows, numNodes, nprocPerNode, sampler }: RunConfig): void {
  const worldSize = numNodes * nprocPerNode;
  if (rows < worldSize) {
    throw new SlipError(
      'config',
      `${rows} rows per micro-batch are too few for ${worldSize} workers, which need one each; start at most ${rows} workers`,
    );
  }
  if (sampler === 'torch' && rows % worldSize !== 0) {
    throw new SlipError(
      'config',
      `--sampler torch gives all workers as many rows, and ${rows} rows per micro-batch cannot be divided among ${worldSize}; ` +
        'use a number of workers that divides them, or --sampler slip',
    );
  }
}

function notices(config: RunConfig): string[] {
  return config.startEpoch > 0 ? ['--start-epoch has no effect: a run continues where its folder says'] : [];
}

/** Settings that change nothing in this run. */
function warnings(config: RunConfig, given: ReadonlySet<string>): string[] {
  const family = modelOf(config).family;
  const idle: Record<string, readonly string[]> = {
    CLIP: ['ssl-mlp-dim', 'ssl-emb-dim', 'ssl-scale', 'ssl-temp'],
    SIMCLR: [
      'ssl-scale',
      'gather',
      'truncate',
      'text-width',
      'text-depth',
      'text-heads',
      'text-activation',
      'context-length',
      'embed-dim',
      'catalog',
    ],
    SLIP: [],
  };
  const ofFactors = config.compress === 'powersgd' ? [] : ['powersgd-rank', 'powersgd-start'];
  return [
    ...idle[family].filter((name) => given.has(name)).map((name) => `--${name} has no effect with ${config.model}`),
    ...ofFactors.filter((name) => given.has(name)).map((name) => `--${name} has no effect without --compress powersgd`),
  ];
}

function unknownFlag(name: string): SlipError {
  const nearest = nearestName(
    name,
    PRETRAIN_FLAGS.map((flag) => flag.name),
  );
  return new SlipError(
    'config',
    `unknown flag --${name}${nearest === undefined ? '' : `; did you mean --${nearest}?`}`,
  );
}
