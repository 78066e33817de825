// Buckets during the backward pass change no bit, with several micro-batches; with one, among the long tests.
import { bucketsChangeNothing } from './overlap-suite.js';

bucketsChangeNothing(2);
