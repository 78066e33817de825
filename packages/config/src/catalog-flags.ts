// Flags that tell where labelled sets are and what texts their classes have, for all tasks that use them. Pure and light.
import { type FlagDefinition, text } from './flag-definition.js';

/** Flags that tell where the sets of a catalogue are. */
export const CATALOG_FLAGS: readonly FlagDefinition[] = [
  text('catalog', '', "dataset_catalog.json that names the sets, in the original's form", { mayChange: true }),
  text('root', '', 'instead of a catalogue: a folder with a folder for each set, as slip-data prepare makes them', {
    mayChange: true,
  }),
  text('index-dir', '', 'folder for the listings that are made of sets; beside them unless given', { mayChange: true }),
];

/** Flags that replace the built-in labels and captions. */
export const PROMPT_FLAGS: readonly FlagDefinition[] = [
  text('labels', '', "labels.json in the original's form; built in for the 26 sets", { mayChange: true }),
  text('templates', '', "templates.json in the original's form; built in for the 26 sets", { mayChange: true }),
];
