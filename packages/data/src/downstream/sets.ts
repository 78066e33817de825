// The one table of the downstream sets (reference 6.1): form, splits and metric of each, in the order of evaluation. Pure.

/** How a set is stored. */
export type LabelledForm = 'image-folder' | 'file-list' | 'cifar10' | 'cifar100' | 'stl10' | 'mnist';

/** What a set is judged by, in percent: `roc-auc` for two classes only. */
export type Metric = 'accuracy' | 'mean-per-class' | 'top1-top5-mean' | 'roc-auc';

export interface DownstreamSet {
  readonly name: string;
  readonly form: LabelledForm;
  /** Folders or prefixes of the splits, `train` and `test` for the binaries. */
  readonly train: string;
  readonly test: string;
  readonly metric: Metric;
  readonly classes: number;
}

type Row = [name: string, classes: number, test?: string, more?: Partial<DownstreamSet>];

const ROWS: readonly Row[] = [
  ['food101', 101],
  ['cifar10', 10, 'test', { form: 'cifar10' }],
  ['cifar100', 100, 'test', { form: 'cifar100' }],
  ['cub200', 200, 'val'],
  ['sun397', 397, 'test', { form: 'file-list' }],
  ['cars', 196],
  ['aircraft', 100, 'test', { metric: 'mean-per-class' }],
  ['dtd', 47],
  ['pets', 37, 'test', { metric: 'mean-per-class' }],
  ['caltech101', 102, 'test', { metric: 'mean-per-class' }],
  ['flowers', 102, 'test', { metric: 'mean-per-class' }],
  ['mnist', 10, 'test', { form: 'mnist' }],
  ['fer2013', 7],
  ['stl10', 10, 'test', { form: 'stl10' }],
  ['eurosat', 10, 'val'],
  ['resisc45', 45],
  ['gtsrb', 43],
  ['kitti_distance', 4, 'val'],
  ['country211', 211],
  ['patch_camelyon', 2, 'val'],
  ['ucf101_frames', 101, 'val'],
  ['kinetics700_frames', 700, 'val_images', { train: 'train_images', metric: 'top1-top5-mean' }],
  ['clevr_counts', 8, 'val', { form: 'file-list' }],
  ['hateful_memes', 2, 'dev', { metric: 'roc-auc' }],
  ['rendered_sst2', 2],
  ['imagenet', 1000, 'val'],
];

export const DOWNSTREAM_SETS: readonly DownstreamSet[] = ROWS.map(([name, classes, test = 'test', more = {}]) => ({
  ...{ name, classes, test, form: 'image-folder', train: 'train', metric: 'accuracy' },
  ...more,
}));

export function downstreamSet(name: string): DownstreamSet | undefined {
  return DOWNSTREAM_SETS.find((set) => set.name === name);
}
