// The 19 files that the paper's authors published: names, recipes and scores as their README states them.
import path from 'node:path';

export interface PublishedModel {
  /** As given to `--pretrained`; the file's name without its ending. */
  readonly name: string;
  readonly model: string;
  readonly dataset: 'YFCC15M' | 'CC3M' | 'CC12M';
  readonly epochs: number;
  /** Percent top-1 on ImageNet-1K; SimCLR has no text tower and so no zero-shot score. */
  readonly zeroShot: number | undefined;
  readonly linear: number;
  readonly finetuned: number;
  readonly url: string;
}

export const PUBLISHED_BASE = 'https://dl.fbaipublicfiles.com/slip/';

type Row = [name: string, epochs: number, zeroShot: number | undefined, linear: number, finetuned: number];

const ROWS: readonly Row[] = [
  ['clip_small_25ep', 25, 32.7, 59.3, 78.2],
  ['simclr_small_25ep', 25, undefined, 58.1, 79.9],
  ['slip_small_25ep', 25, 38.3, 66.4, 80.3],
  ['slip_small_50ep', 50, 39.3, 67.6, 80.7],
  ['slip_small_100ep', 100, 39.5, 68.3, 80.7],
  ['clip_base_25ep', 25, 37.6, 66.5, 80.5],
  ['simclr_base_25ep', 25, undefined, 64.0, 82.5],
  ['slip_base_25ep', 25, 42.8, 72.1, 82.6],
  ['slip_base_50ep', 50, 44.1, 73.0, 82.9],
  ['slip_base_100ep', 100, 45.0, 73.6, 83.4],
  ['clip_large_25ep', 25, 40.4, 70.5, 81.0],
  ['simclr_large_25ep', 25, undefined, 66.7, 84.0],
  ['slip_large_25ep', 25, 46.2, 76.0, 84.2],
  ['slip_large_50ep', 50, 47.4, 75.8, 84.7],
  ['slip_large_100ep', 100, 47.9, 75.1, 84.8],
  ['clip_base_cc3m_40ep', 40, 17.1, 53.3, 79.5],
  ['slip_base_cc3m_40ep', 40, 23.0, 65.4, 81.4],
  ['clip_base_cc12m_35ep', 35, 36.5, 69.0, 82.1],
  ['slip_base_cc12m_35ep', 35, 40.7, 73.7, 83.1],
];

const TOWERS: Readonly<Record<string, string>> = { small: 'VITS16', base: 'VITB16', large: 'VITL16' };

export const PUBLISHED_MODELS: readonly PublishedModel[] = ROWS.map(([name, epochs, zeroShot, linear, finetuned]) => {
  const [family, size] = name.split('_');
  return {
    name,
    model: `${family.toUpperCase()}_${TOWERS[size]}`,
    dataset: name.includes('cc12m') ? 'CC12M' : name.includes('cc3m') ? 'CC3M' : 'YFCC15M',
    epochs,
    zeroShot,
    linear,
    finetuned,
    url: `${PUBLISHED_BASE}${name}.pt`,
  };
});

/** Percent top-1 on ImageNet-1K, as far as the README has them. */
export interface PublishedScores {
  readonly name: string;
  readonly zeroShot?: number | undefined;
  readonly linear?: number;
  readonly finetuned?: number;
}

/** In the README's text, without weights: trained on YFCC15M. */
const RESNET: PublishedScores = { name: 'CLIP_RN50 on YFCC15M', zeroShot: 34.6 };

/**
 * What to compare a model with.
 * @param file of weights, or a published name
 * @param model registered name
 * @returns the scores of these very weights, else of all published ones of the same model
 */
export function publishedScores(file: string, model: string | undefined): readonly PublishedScores[] {
  const name = path.basename(file, '.pt');
  const same = PUBLISHED_MODELS.filter((one) => one.name === name);
  if (same.length > 0) return same;
  return model === 'CLIP_RN50' ? [RESNET] : PUBLISHED_MODELS.filter((one) => one.model === model);
}
