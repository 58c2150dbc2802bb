"""Writes some frames of a clip as JPEGs into a ZIP, as typical users of OpenCV, PyAV, decord and torchcodec do.

readers.py READER CLIP OUT START STOP STEP GOP

GOP is the distance between keyframes. The readers seek if seeking skips frames, and decode on otherwise.
"""

import sys
import zipfile


def opencv(path, picks, gop):
    import cv2

    video = cv2.VideoCapture(path)
    place = 0
    for pick in picks:
        if pick // gop > place // gop:
            video.set(cv2.CAP_PROP_POS_FRAMES, pick)
            place = pick
        while place < pick:
            video.grab()
            place += 1
        ok, image = video.read()
        place += 1
        if not ok:
            sys.exit(f"frame {pick} cannot be read")
        yield image


def pyav(path, picks, gop):
    import av

    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        first = stream.start_time or 0
        tick = 1 / (stream.time_base * stream.average_rate)
        frames = container.decode(stream)
        place = 0
        for pick in picks:
            pts = first + round(pick * tick)
            if pick // gop > place // gop:
                container.seek(pts, stream=stream)
                frames = container.decode(stream)
            for frame in frames:
                if frame.pts >= pts:
                    break
            else:
                sys.exit(f"frame {pick} cannot be read")
            place = pick
            yield frame.to_ndarray(format="bgr24")


def decord(path, picks, gop):
    import decord as library

    video = library.VideoReader(path, ctx=library.cpu(0))
    for pick in picks:
        # decord returns RGB; the encoder expects BGR.
        yield video[pick].asnumpy()[:, :, ::-1]


def torchcodec(path, picks, gop):
    from torchcodec.decoders import VideoDecoder

    video = VideoDecoder(path, num_ffmpeg_threads=0)
    for pick in picks:
        # torchcodec returns RGB with the channels first; the encoder expects BGR.
        yield video.get_frame_at(pick).data.numpy().transpose(1, 2, 0)[:, :, ::-1]


READERS = {"OpenCV": opencv, "PyAV": pyav, "decord": decord, "torchcodec": torchcodec}


def main():
    import cv2

    reader, path, out, *numbers = sys.argv[1:]
    start, stop, step, gop = map(int, numbers)
    images = READERS[reader](path, range(start, stop, step), gop)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for at, image in enumerate(images):
            ok, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])
            if not ok:
                sys.exit("a picture cannot be encoded")
            archive.writestr(f"{at:06d}.jpg", jpeg.tobytes())


main()
