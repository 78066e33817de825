// What a run reports and where: JSON lines, TensorBoard, log.txt, console, Weights & Biases, and a page to look at.

export type { Progress } from './progress-text.js';
export { escapeHtml } from './report/escape-html.js';
export { renderReport } from './report/render-report.js';
export type { EvaluationFacts, PredictedImage, Predictions, ReportOptions } from './report/report-options.js';
export { createRunMetrics, type RunMetrics, type RunMetricsOptions } from './run-metrics.js';
export type { WandbOptions } from './sinks/wandb-sink.js';
export {
  type CheckpointRecord,
  type EvaluationRecord,
  type Family,
  hiddenShare,
  type StepRecord,
} from './step-record.js';
