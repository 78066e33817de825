// What the caller of the report may know beyond the run folder.

export interface PredictedImage {
  /** Path of the picture. */
  readonly file: string;
  /** Its true class. */
  readonly label: string;
  /** Best guesses first; probabilities from 0 to 1. */
  readonly top: readonly { readonly label: string; readonly probability: number }[];
}

export interface Predictions {
  readonly classes: readonly string[];
  readonly items: readonly PredictedImage[];
}

/** Figures of a zero-shot validation; percents from 0 to 100. */
export interface EvaluationFacts {
  readonly dataset?: string;
  readonly step?: number;
  readonly acc1?: number;
  readonly acc5?: number;
  readonly meanRecall?: number;
  readonly chance?: number;
  readonly largestClass?: number;
  readonly images?: number;
  readonly classes?: number;
}

export interface ReportOptions {
  readonly runDir: string;
  readonly title: string;
  /** Default: those of `<run>/evaluation.json`, if there is one. */
  readonly predictions?: Predictions;
  /** Default: `<run>/evaluation.json`, else the last validation in metrics.jsonl. */
  readonly evaluation?: EvaluationFacts;
  /** Model, parameters and the like, shown first. */
  readonly facts?: Readonly<Record<string, string | number>>;
  /** Default `<run>/report.html`. */
  readonly out?: string;
}
