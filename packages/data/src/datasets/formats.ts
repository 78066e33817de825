// The one table of pre-training sets: names, what --metadata is for each, published sizes. Pure and light: flags, help pages
// and documentation come from it; the readers are in `sets/`.

export interface DatasetFormat {
  readonly name: string;
  /** One line for help pages. */
  readonly summary: string;
  /** What --root holds. */
  readonly root: string;
  /** What --metadata is; undefined for sets that have none. */
  readonly metadata?: string;
  /** --metadata may be left out. */
  readonly metadataIsOptional?: boolean;
  /** Samples of the published set, for plans made where the files are not. */
  readonly publishedSize?: number;
}

export const DATASET_FORMATS: readonly DatasetFormat[] = [
  {
    name: 'yfcc15m',
    summary: 'YFCC15M: pickled (index, title, description), images in 100 x 1000 zip archives',
    root: 'images/XX/YYY.zip',
    metadata: 'yfcc15m.pkl',
    publishedSize: 14_689_580,
  },
  {
    name: 'cc3m',
    summary: 'Conceptual Captions: numpy array of dicts with image_id (a path) and captions',
    root: 'the image files',
    metadata: 'cc3m.npy',
  },
  {
    name: 'cc12m',
    summary: 'Conceptual 12M: numpy array of dicts with image_name (a path) and captions',
    root: 'the image files',
    metadata: 'cc12m.npy',
  },
  {
    name: 'coco',
    summary: 'COCO captions: one sample for each image, all its captions',
    root: 'train2017/000000000009.jpg',
    metadata: 'captions_train2017.json',
    publishedSize: 118_287,
  },
  {
    name: 'redcaps',
    summary: 'RedCaps: JSON annotations with image_id, subreddit and caption',
    root: 'SUBREDDIT/IMAGE_ID.jpg',
    metadata: 'redcaps_v1.json',
  },
  {
    name: 'webdataset',
    summary: 'tar shards of NAME.jpg with NAME.txt or NAME.json, as img2dataset writes them',
    root: '*.tar',
  },
  {
    name: 'image-folder',
    summary: 'a folder tree of images, each with NAME.txt beside it, or captions in metadata.csv or .jsonl',
    root: 'the images, in folders of any depth',
    metadata: 'metadata.jsonl, .csv or .tsv with file_name and text',
    metadataIsOptional: true,
  },
  {
    name: 'csv',
    summary: 'comma-separated path and caption, as open_clip reads them',
    root: 'what paths are relative to',
    metadata: 'a .csv file',
  },
  {
    name: 'tsv',
    summary: 'tab-separated path and caption',
    root: 'what paths are relative to',
    metadata: 'a .tsv file',
  },
];

export function datasetFormat(name: string): DatasetFormat | undefined {
  return DATASET_FORMATS.find((format) => format.name === name);
}
