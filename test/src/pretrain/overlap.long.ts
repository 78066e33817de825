// Buckets during the backward pass change no bit, with one micro-batch.
import { bucketsChangeNothing } from './overlap-suite.js';

bucketsChangeNothing(1);
