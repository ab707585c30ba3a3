"""The parts of the composed engine that are here: a language model on llama.cpp and a voice."""
