// The constants of the simulation, and what a step of a model asks of the cluster. Measured ones are from `bench-comm` and the
// optimizer's bench; assumptions are named so. docs/scaling.md tells how each was found.
import { type ModelConfig, stateLayout, vitOf } from '@slip/model/architecture';
import type { ClusterSpec } from './cluster.js';

/** Measured on two cores of an AMD EPYC: docs/scaling.md. */
export const MEASURED = {
  memoryBandwidth: 13e9,
  meetSeconds: 12e-6,
  frameSeconds: 60e-6,
  frameBandwidth: 2.2e9,
  /** Parameters that one core updates in a second (AdamW). */
  adamWPerSecond: 110e6,
} as const;

/** Assumed: a node of 8 GPUs with a link of 100 Gb/s. */
export const ASSUMED = {
  ranksPerNode: 8,
  linkBandwidth: 100e9 / 8,
  /** One switch, kernel tcp on both sides. */
  linkLatency: 25e-6,
  /** Between a GPU and the host's memory, PCIe 4.0 x16, bytes/s. */
  hostCopyBandwidth: 25e9,
  /** A100, dense bf16: NVIDIA's data sheet. */
  peakFlops: 312e12,
  /** Share of the peak that training reaches. */
  utilisation: 0.4,
  /** Rows of a rank; the paper's 4096 on 64 devices. */
  rowsPerRank: 64,
  /** Share of forward and backward that is the backward pass. */
  backwardShare: 2 / 3,
  /** A frame as plain tcp would cost it: one copy on each side. */
  plainFrameSeconds: 10e-6,
  plainFrameBandwidth: 4e9,
} as const;

export interface Workload {
  readonly name: string;
  readonly parameters: number;
  /** Forward and backward of one rank, s. */
  readonly computeSeconds: number;
  readonly rowsPerRank: number;
  /** Floats that a rank gives to each gather of a step, and whether the gradient comes back. */
  readonly gathers: readonly { readonly perRank: number; readonly returns: boolean }[];
  /** Floats of each sum over all ranks in the backward pass. */
  readonly sums: readonly number[];
}

export type Frames = 'measured' | 'plain';

export function clusterOf(nodes: number, frames: Frames): ClusterSpec {
  const { ranksPerNode, linkBandwidth, linkLatency, plainFrameBandwidth, plainFrameSeconds } = ASSUMED;
  const { memoryBandwidth, meetSeconds, frameSeconds, frameBandwidth } = MEASURED;
  return {
    ...{ nodes, ranksPerNode, coresPerNode: ranksPerNode, linkBandwidth, linkLatency, memoryBandwidth, meetSeconds },
    ...(frames === 'measured'
      ? { frameSeconds, frameBandwidth }
      : { frameSeconds: plainFrameSeconds, frameBandwidth: plainFrameBandwidth }),
  };
}

/** What one step of a SLIP model is made of. */
export function workloadOf(model: ModelConfig): Workload {
  const { ssl, embedDim } = model;
  if (ssl === undefined || model.text === undefined) throw new Error(`${model.name} is not a SLIP model`);
  const rows = ASSUMED.rowsPerRank;
  const gather = (perRank: number, returns: boolean) => ({ perRank, returns });
  // Two batch norms for each of two views gather (mean, M2); image, text and two views gather embeddings.
  const norms = [1, 2, 3, 4];
  return {
    name: model.name,
    parameters: stateLayout(model).parameterCount,
    computeSeconds: (rows * flopsPerRow(model)) / (ASSUMED.peakFlops * ASSUMED.utilisation),
    rowsPerRank: rows,
    gathers: [
      ...norms.map(() => gather(2 * ssl.mlpDim, false)),
      ...[embedDim, embedDim, ssl.embDim, ssl.embDim].map((width) => gather(rows * width, true)),
    ],
    sums: norms.map(() => 2 * ssl.mlpDim),
  };
}

/** Three views and one text, forward and backward (twice the forward): multiplications and additions of the towers. */
export function flopsPerRow(model: ModelConfig): number {
  const { text } = model;
  const vision = vitOf(model);
  const image = transformerFlops((vision.imageSize / vision.patchSize) ** 2 + 1, vision.width, vision.depth);
  const words = text === undefined ? 0 : transformerFlops(text.contextLength, text.width, text.depth);
  return 3 * (3 * image + words);
}

/** 12 width^2 weights in a block, each used by every token, and two products of tokens with tokens. */
function transformerFlops(tokens: number, width: number, depth: number): number {
  return depth * (2 * tokens * 12 * width ** 2 + 4 * tokens ** 2 * width);
}
