// Writes some frames of a clip as JPEGs into one file, inside one process: the work that no program with libavcodec can avoid.
//
//   limit CLIP OUT START STOP STEP GOP FILTERS
//
// Takes the frames with numbers START, START + STEP, ... before STOP. GOP is the distance between keyframes: seeks to the last
// keyframe before a frame if that skips packets. Skips the packets of H.264 frames to which no frame refers.

#include <libavcodec/avcodec.h>
#include <libavfilter/avfilter.h>
#include <libavfilter/buffersink.h>
#include <libavfilter/buffersrc.h>
#include <libavformat/avformat.h>
#include <libavutil/opt.h>
#include <stdio.h>
#include <stdlib.h>

static AVFormatContext *input;
static AVStream *stream;
static AVCodecContext *decoder, *encoder;
static AVFilterContext *source, *sink;
static const char *filters;
static FILE *out;

// The picked frames, in ticks of the stream.
static int64_t first_pts, step_pts, picks;
// Whether the packet of each picked frame was read, and the number of written frames.
static char *is_read;
static int64_t written;

static void check(int code, const char *what) {
    if (code < 0) {
        fprintf(stderr, "failed to %s: %s\n", what, av_err2str(code));
        exit(1);
    }
}

static void *need(void *value, const char *what) {
    if (!value) {
        fprintf(stderr, "failed to %s\n", what);
        exit(1);
    }
    return value;
}

static void open_filters(const AVFrame *frame) {
    char description[256];
    AVFilterGraph *graph = need(avfilter_graph_alloc(), "create the filters");
    AVFilterInOut *inputs = avfilter_inout_alloc(), *outputs = avfilter_inout_alloc();
    snprintf(description, sizeof description, "video_size=%dx%d:pix_fmt=%d:time_base=%d/%d", frame->width, frame->height,
             frame->format, stream->time_base.num, stream->time_base.den);
    check(avfilter_graph_create_filter(&source, avfilter_get_by_name("buffer"), "in", description, NULL, graph), "create a filter");
    check(avfilter_graph_create_filter(&sink, avfilter_get_by_name("buffersink"), "out", NULL, NULL, graph), "create a filter");
    *outputs = (AVFilterInOut){.name = av_strdup("in"), .filter_ctx = source};
    *inputs = (AVFilterInOut){.name = av_strdup("out"), .filter_ctx = sink};
    check(avfilter_graph_parse_ptr(graph, filters, &inputs, &outputs, NULL), "parse the filters");
    check(avfilter_graph_config(graph, NULL), "configure the filters");
}

static void open_encoder(const AVFrame *frame) {
    const AVCodec *codec = need((void *)avcodec_find_encoder(AV_CODEC_ID_MJPEG), "find the encoder");
    encoder = need(avcodec_alloc_context3(codec), "create the encoder");
    encoder->width = frame->width;
    encoder->height = frame->height;
    encoder->pix_fmt = AV_PIX_FMT_YUVJ420P;
    encoder->time_base = stream->time_base;
    encoder->flags |= AV_CODEC_FLAG_QSCALE;
    encoder->global_quality = 2 * FF_QP2LAMBDA;
    encoder->thread_count = 1;
    // The tables of the standard, as in the pictures of vf.
    check(av_opt_set(encoder->priv_data, "huffman", "default", 0), "set the tables");
    check(avcodec_open2(encoder, codec, NULL), "open the encoder");
}

static void write_picture(AVFrame *frame) {
    static AVFrame *picture;
    static AVPacket *packet;
    if (!picture) {
        picture = need(av_frame_alloc(), "create a frame");
        packet = need(av_packet_alloc(), "create a packet");
        open_filters(frame);
    }
    check(av_buffersrc_add_frame(source, frame), "filter a frame");
    check(av_buffersink_get_frame(sink, picture), "filter a frame");
    if (!encoder)
        open_encoder(picture);
    picture->format = AV_PIX_FMT_YUVJ420P;
    picture->quality = encoder->global_quality;
    picture->pict_type = AV_PICTURE_TYPE_NONE;
    check(avcodec_send_frame(encoder, picture), "encode a frame");
    check(avcodec_receive_packet(encoder, packet), "encode a frame");
    if (fwrite(packet->data, packet->size, 1, out) != 1) {
        fprintf(stderr, "failed to write a picture\n");
        exit(1);
    }
    av_packet_unref(packet);
    av_frame_unref(picture);
}

// Returns the number of a picked frame, or -1.
static int64_t pick_of(int64_t pts) {
    int64_t ticks = pts - first_pts;
    return ticks >= 0 && ticks % step_pts == 0 && ticks / step_pts < picks ? ticks / step_pts : -1;
}

// Sends a packet (NULL at the end of a run) and writes the picked frames among those that the decoder returns.
static void decode(const AVPacket *packet) {
    static AVFrame *frame;
    if (!frame)
        frame = need(av_frame_alloc(), "create a frame");
    check(avcodec_send_packet(decoder, packet), "decode a packet");
    while (avcodec_receive_frame(decoder, frame) >= 0) {
        if (pick_of(frame->pts) == written) {
            written++;
            write_picture(frame);
        }
        av_frame_unref(frame);
    }
}

// Returns whether no frame refers to the frame of an H.264 packet, whose units follow their sizes.
static int is_unreferenced(const AVPacket *packet) {
    const uint8_t *at = packet->data, *end = at + packet->size;
    if (stream->codecpar->codec_id != AV_CODEC_ID_H264 || stream->codecpar->extradata[0] != 1)
        return 0;
    while (end - at > 4) {
        uint32_t size = (uint32_t)at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3];
        int kind = at[4] & 0x1f;
        if (kind >= 1 && kind <= 5)
            return (at[4] & 0x60) == 0;
        if (size > end - at - 4)
            return 0;
        at += 4 + size;
    }
    return 0;
}

static void open_input(const char *path) {
    const AVCodec *codec;
    check(avformat_open_input(&input, path, NULL, NULL), "open the clip");
    check(avformat_find_stream_info(input, NULL), "read the clip");
    int best = av_find_best_stream(input, AVMEDIA_TYPE_VIDEO, -1, -1, &codec, 0);
    check(best, "find a video stream");
    stream = input->streams[best];
    decoder = need(avcodec_alloc_context3(codec), "create the decoder");
    check(avcodec_parameters_to_context(decoder, stream->codecpar), "configure the decoder");
    decoder->pkt_timebase = stream->time_base;
    decoder->thread_count = 0;
    check(avcodec_open2(decoder, codec, NULL), "open the decoder");
}

int main(int count, char **arguments) {
    if (count != 8) {
        fprintf(stderr, "usage: limit CLIP OUT START STOP STEP GOP FILTERS\n");
        return 2;
    }
    filters = arguments[7];
    out = need(fopen(arguments[2], "wb"), "create the output");
    open_input(arguments[1]);
    int64_t begin = stream->start_time == AV_NOPTS_VALUE ? 0 : stream->start_time;
    int64_t start = atoll(arguments[3]), stop = atoll(arguments[4]), step = atoll(arguments[5]);
    int64_t gop = atoll(arguments[6]);
    AVRational tick = av_inv_q(av_mul_q(stream->time_base, stream->avg_frame_rate));
    first_pts = begin + av_rescale(start, tick.num, tick.den);
    step_pts = av_rescale(step, tick.num, tick.den);
    picks = (stop - start + step - 1) / step;
    is_read = need(calloc(picks, 1), "allocate memory");
    AVPacket *packet = need(av_packet_alloc(), "create a packet");
    int64_t group = 0;
    for (int64_t pick = 0; pick < picks; pick++) {
        int64_t wanted = first_pts + pick * step_pts, next = (start + pick * step) / gop;
        if (next > group && !is_read[pick]) {
            if (pick > 0) {
                decode(NULL);
                avcodec_flush_buffers(decoder);
            }
            check(av_seek_frame(input, stream->index, wanted, AVSEEK_FLAG_BACKWARD), "seek");
            group = next;
        }
        while (!is_read[pick]) {
            check(av_read_frame(input, packet), "read a packet");
            if (packet->stream_index == stream->index) {
                int64_t read = pick_of(packet->pts);
                if (read >= 0)
                    is_read[read] = 1;
                if (read >= 0 || !is_unreferenced(packet))
                    decode(packet);
            }
            av_packet_unref(packet);
        }
    }
    decode(NULL);
    if (written < picks) {
        fprintf(stderr, "not all frames were decoded\n");
        return 1;
    }
    return fclose(out) != 0;
}
