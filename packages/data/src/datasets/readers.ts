// Which reader belongs to which name of the table of formats.
import type { SetReader } from './set-reader.js';
import { captionedFolder } from './sets/captioned-folder.js';
import { coco } from './sets/coco.js';
import { conceptualCaptions } from './sets/conceptual-captions.js';
import { delimited } from './sets/delimited.js';
import { redcaps } from './sets/redcaps.js';
import { webdataset } from './sets/webdataset.js';
import { yfcc15m } from './sets/yfcc15m.js';

export const READERS: Readonly<Record<string, SetReader>> = {
  yfcc15m,
  cc3m: conceptualCaptions('image_id'),
  cc12m: conceptualCaptions('image_name'),
  coco,
  redcaps,
  webdataset,
  'image-folder': captionedFolder,
  csv: delimited(','),
  tsv: delimited('\t'),
};
