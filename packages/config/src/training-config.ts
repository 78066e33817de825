// What the configurations of all training tasks have in common, and what has to fit together in each. Not what a task adds:
// run-config.ts (pre-training), linear.ts, finetune.ts.
import { SlipError } from '@slip/core';
import type { Precision } from './precision.js';
import type { Transport } from './transport.js';

/** Tasks that train: steps, checkpoints, metrics. */
export type TaskName = 'pretrain' | 'linear' | 'finetune';

/** Camel-case keys of the flags that all training tasks have, and of those that mean the same in each. */
export interface TrainingConfig {
  /** Absent for pre-training, whose folders are older than the other tasks. */
  readonly task?: Exclude<TaskName, 'pretrain'>;
  readonly workers: number;
  /** Memory for batches that are made ahead of need, MB. */
  readonly prefetchMb: number;
  readonly sampler: 'slip' | 'torch';
  readonly badSamples: 'fail' | 'replace';
  readonly epochs: number;
  readonly batchSize: number;
  /** Over all ranks: `batchSize` times ranks unless given, or what the run that is continued has. */
  readonly rowsPerMicroBatch: number;
  readonly updateFreq: number;
  readonly lr: number;
  readonly seed: number;
  readonly maxSteps: number;
  readonly evalFreq: number;
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
  readonly profile: number;
  readonly wandb: boolean;
  readonly device: 'auto' | 'cpu' | 'webgpu' | 'cuda' | 'tensorflow';
  readonly precision: Precision;
  readonly disableAmp: boolean;
  readonly gradCheckpointing: boolean;
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
  readonly transport: Transport;
  /** Sizes of the launch that resolved this. */
  readonly numNodes: number;
  readonly nprocPerNode: number;
}

/** @throws SlipError `config` or `unsupported` naming the flags */
export function checkTraining(config: TrainingConfig): void {
  checkRows(config);
  if (config.device !== 'cpu' && config.reduce === 'invariant') {
    throw new SlipError(
      'unsupported',
      `--reduce invariant computes in the host's memory: with --device cpu, not ${config.device}`,
    );
  }
  checkPrecision(config);
  if (config.compress === 'powersgd' && config.reduce === 'invariant') {
    throw new SlipError(
      'config',
      '--compress powersgd keeps errors on every rank, so weights depend on the number of ranks: not with --reduce invariant',
    );
  }
}

function checkPrecision({ precision, device, compress }: TrainingConfig): void {
  if (precision === 'fp32') return;
  if (device === 'tensorflow') {
    throw new SlipError('unsupported', `--device tensorflow computes in fp32; use --precision fp32, not ${precision}`);
  }
  if (device === 'webgpu' && precision === 'bf16') {
    throw new SlipError('unsupported', 'WebGPU has no bfloat16; use --precision fp16 or fp32 with --device webgpu');
  }
  if (precision === 'fp16' && compress === 'powersgd') {
    throw new SlipError(
      'config',
      '--compress powersgd keeps errors in the scale of the gradients, which --precision fp16 changes; use bf16 or fp32',
    );
  }
}

function checkRows({ rowsPerMicroBatch: rows, numNodes, nprocPerNode, sampler }: TrainingConfig): void {
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
