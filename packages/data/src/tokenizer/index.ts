// CLIP's tokenizer on its own, for programs that want nothing else of this package (`@slip/data/tokenizer`).
export { cleanText } from './clean-text.js';
export { type TokenizeOptions, Tokenizer, type Truncate } from './tokenizer.js';
export { END_OF_TEXT, START_OF_TEXT, VOCAB_SIZE } from './vocabulary.js';
