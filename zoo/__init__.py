"""The things of Zooscope: model packages, images, documents, blobs, and what every room needs. Imports no other room.

settings, errors, identifiers, secrets                       what every room needs
preview_settings, setting_values, passes, planes, crops      what a preview may be asked, and the pixels a job carries
documents, document_fields, documents_sqlite, sqlite_search  records with a revision, and the search in them
blobs, disk                                                  files named by their sha256
packages, package_archive, package_build                     bioimage.io model packages, read and written
catalogue, shown_models                                      the published models; seed/ holds those that come along
submissions, review, publication, model_owners               from a draft to a published model
version_records, version_changes, text_edits                 what may change of a published version
images, roi, display, channel_fit and their modules          reading, cutting and showing images
"""
