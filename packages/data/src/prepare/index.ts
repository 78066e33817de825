// Preparation of sets and looking at them: what `slip-data` offers.
export { buildZipIndex, type ZipIndexSummary } from '../archives/zip-index.js';
export { yfccArchives } from '../datasets/sets/yfcc15m.js';
export { combineCaptions } from './combine-captions.js';
export { writeContactSheet } from './contact-sheet.js';
export { type DatasetStats, datasetStats } from './dataset-stats.js';
export { BINARY_ARCHIVES, type BinaryArchives, unpackBinaries } from './downstream/binary-archives.js';
export { refuseExisting, sortPictures } from './downstream/classified-pictures.js';
export { FER_HOLDS, writeFer } from './downstream/fer2013.js';
export { LIST_SOURCES, type ListedSplit, readListSource, writeLists } from './downstream/npy-lists.js';
export { classifiedPictures, OFFICIAL_ARCHIVES } from './downstream/official-lists.js';
export { renameClassFolders } from './downstream/rename-folders.js';
export { type VerifiedSplit, verifyLabelled } from './downstream/verify-labelled.js';
export { type MakeConceptualSummary, makeConceptual } from './make-conceptual.js';
export { cleanYfccText, makeYfcc15m } from './make-yfcc15m.js';
export { type PackSummary, packDataset } from './pack-dataset.js';
export { type VerifySummary, verifyDataset } from './verify-dataset.js';
