"""Training the seed models: one recipe a module, sharing a network, a sampler, augmentation and a resumable loop.

`python -m worker.training nuclei --data ../shared/data --out build/nuclei` trains, resumes and exports.
"""
