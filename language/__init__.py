"""Words: how texts are taken apart, and what of a video the word index holds. Shared by search, video_catalog and suggested_videos."""
