// SLIP, CLIP and SimCLR: towers, losses, initialisation, optimizer. Sizes and names alone are in ./architecture.
export {
  type FinetuneStepOptions,
  finetuneStep,
  linearStep,
  logitsStep,
  probeStep,
  towerFeatureStep,
} from './classifier/classifier-steps.js';
export { dropPathRates, writeDropPath } from './classifier/drop-path.js';
export {
  drawKey,
  drawMix,
  type MixDraw,
  type MixingPolicy,
  type MixRows,
  mixRows,
  writeMix,
  writeTargets,
} from './classifier/mixing.js';
export { imageFeatureStep, textFeatureStep } from './feature-steps.js';
export {
  initialiseBuffers,
  initialiseBuffersOf,
  initialiseParameters,
  initialiseParametersOf,
} from './initialise.js';
export { type ContrastiveLoss, clipLoss, type Gather, type RowPlacement } from './losses/clip-loss.js';
export { simclrLoss } from './losses/simclr-loss.js';
export { type AdamWArenas, type AdamWHyper, adamW, decayRuns } from './optimizer/adamw.js';
export { clampLogitScale } from './optimizer/logit-scale.js';
export { lrSchedule, type ScheduleOptions } from './optimizer/lr-schedule.js';
export {
  accumulateStep,
  adamWHyper,
  type DeviceOptimizer,
  deviceAdamW,
  deviceAverage,
  deviceSgd,
  gradientSquaresStep,
  type HyperInputs,
  optimizerStep,
  sgdHyper,
  type UpdateGroup,
  updateGroups,
} from './optimizer/optimizer-step.js';
export { type SgdArenas, type SgdHyper, sgd } from './optimizer/sgd.js';
export { updateRunningStatistics } from './running-statistics.js';
export { type TrainStepOptions, trainStep } from './train-step.js';
