// Pre-training and evaluation data: sets, tokenizer, transforms, sample order, loaders.
export {
  type CaptionedDataset,
  type DatasetLocation,
  type IndexingProgress,
  openDataset,
  publishedDatasetSize,
  type Sample,
} from './datasets/captioned-dataset.js';
export { DATASET_FORMATS, type DatasetFormat, datasetFormat } from './datasets/formats.js';
export { listImageFiles } from './datasets/image-files.js';
export {
  type LabelledDataset,
  type LabelledLocation,
  type LabelledSample,
  openLabelled,
} from './datasets/labelled-dataset.js';
export { type FloatMatrix, readNpyMatrix, writeNpyMatrix } from './datasets/npy-matrix.js';
export { type CaptionedImages, readCaptionedImages } from './datasets/sets/coco-retrieval.js';
export {
  type CatalogPlace,
  catalogNames,
  isLabelledSetThere,
  type LabelledPlace,
  type LabelledSet,
  locateInCatalog,
  locateLabelled,
} from './downstream/catalog.js';
export { checkClasses, classOfFolder } from './downstream/check-classes.js';
export { classList, type ListedClass } from './downstream/class-list.js';
export { captionsOf, type PromptFiles, type Prompts, readPrompts } from './downstream/prompts.js';
export { DOWNSTREAM_SETS, type DownstreamSet, downstreamSet, type Metric } from './downstream/sets.js';
export { decodeImage } from './images/decode-image.js';
export { fileImage, type ImageSource } from './images/image-source.js';
export { thumbnail } from './images/thumbnail.js';
export type { View } from './loader/batch-maker.js';
export {
  createEvalLoader,
  type EvalBatch,
  type EvalItem,
  type EvalLoaderOptions,
  evalShare,
} from './loader/eval-loader.js';
export {
  createTrainLoader,
  type TrainBatch,
  type TrainLoader,
  type TrainLoaderOptions,
} from './loader/train-loader.js';
export { torchRandperm } from './sampler/mersenne-twister.js';
export { countBatches, distributedSampler, slipOrder } from './sampler/sample-order.js';
export { type TokenizeOptions, Tokenizer, type Truncate } from './tokenizer/index.js';
export type { LabelledAugmentation, LabelledView } from './transforms/labelled-view.js';
export { type PixelImage, pixelImage } from './transforms/pixel-image.js';
export { parseRandAugment, type RandAugmentPolicy } from './transforms/rand-augment.js';
export { clipView, evalView, sslView, type ViewTarget } from './transforms/views.js';
