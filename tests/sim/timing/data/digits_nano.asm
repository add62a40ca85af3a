; nano, config digest 9096976e2ce5b77f
.memory 24576
.address 0x4000
; layer 0: conv1
             LOAD target=WEIGHT dram_address=0x2000 run=48 count0=1 count1=1 count2=1
load_2:      LOAD sram_address=256 run=40 count0=1 dram_stride0=0x140 sram_stride0=40 count1=1 count2=1
load_3:      LOAD target=PARAMETER dram_address=0x20c0 run=10 count0=1 count1=1 count2=1
load_4:      LOAD dram_address=0x60 sram_address=296 run=40 count0=1 dram_stride0=0x140 sram_stride0=40 count1=1 count2=1
matrix_1:    MATRIX after load_2 kernel_height=3 kernel_width=1 out_height=3 out_width=8 stride_y=1 stride_x=1 dilation_y=1 dilation_x=1 height=5 width=8 padding=-128 out_blocks=4 in_blocks=1 source=256 source_in_stride=40 source_pitch=8 destination_stride=24
matrix_2:    MATRIX after load_4 kernel_height=3 kernel_width=1 out_height=3 out_width=8 stride_y=1 stride_x=1 dilation_y=1 dilation_x=1 height=5 width=8 padding=-128 out_blocks=4 in_blocks=1 source=296 source_in_stride=40 source_pitch=8 destination=256 destination_stride=24
vector_1:    VECTOR after load_3, matrix_1 kernel_height=1 kernel_width=1 out_height=3 out_width=8 stride_y=1 stride_x=1 height=3 width=8 groups=8 source_kind=ACCUMULATOR source_stride=24 source_pitch=8 destination_stride=64 destination_pitch=8
load_5:      LOAD after matrix_1 dram_address=0xc0 sram_address=256 run=32 count0=1 dram_stride0=0x140 sram_stride0=32 count1=1 count2=1
; layer 1: conv2
load_6:      LOAD target=WEIGHT dram_address=0x2180 sram_address=48 run=576 count0=1 count1=1 count2=1
; layer 0: conv1
matrix_3:    MATRIX after load_5 kernel_height=3 kernel_width=1 out_height=2 out_width=8 stride_y=1 stride_x=1 dilation_y=1 dilation_x=1 height=4 width=8 padding=-128 out_blocks=4 in_blocks=1 source=256 source_in_stride=32 source_pitch=8 destination=512 destination_stride=16
vector_2:    VECTOR after matrix_2 kernel_height=1 kernel_width=1 out_height=3 out_width=8 stride_y=1 stride_x=1 height=3 width=8 groups=8 source_kind=ACCUMULATOR source=256 source_stride=24 source_pitch=8 destination=24 destination_stride=64 destination_pitch=8
vector_3:    VECTOR after matrix_3 kernel_height=1 kernel_width=1 out_height=2 out_width=8 stride_y=1 stride_x=1 height=2 width=8 groups=8 source_kind=ACCUMULATOR source=512 source_stride=16 source_pitch=8 destination=48 destination_stride=64 destination_pitch=8
; layer 1: conv2
load_7:      LOAD target=PARAMETER dram_address=0x3380 sram_address=10 run=20 count0=1 count1=1 count2=1
load_8:      LOAD target=WEIGHT dram_address=0x2a80 sram_address=624 run=576 count0=1 count1=1 count2=1
matrix_4:    MATRIX after load_6, vector_1 kernel_height=3 kernel_width=3 out_height=1 out_width=4 stride_y=2 stride_x=2 dilation_y=1 dilation_x=1 origin_y=-1 origin_x=-1 height=8 width=8 padding=-128 out_blocks=4 in_blocks=4 source_in_stride=64 source_pitch=8 weights=48 destination=768 destination_stride=4
; layer 2: pool
load_9:      LOAD target=PARAMETER dram_address=0x34c0 sram_address=30 run=3 count0=1 count1=1 count2=1
; layer 3: dense
load_10:     LOAD target=WEIGHT dram_address=0x3500 sram_address=1200 run=384 count0=1 count1=1 count2=1
; layer 1: conv2
vector_4:    VECTOR after load_7, matrix_4 kernel_height=1 kernel_width=1 out_height=1 out_width=4 stride_y=1 stride_x=1 height=1 width=4 groups=8 source_kind=ACCUMULATOR source=768 source_stride=4 source_pitch=4 destination=256 destination_stride=16 destination_pitch=4 parameters=10
matrix_5:    MATRIX after load_8 kernel_height=3 kernel_width=3 out_height=1 out_width=4 stride_y=2 stride_x=2 dilation_y=1 dilation_x=1 origin_y=-1 origin_x=-1 height=8 width=8 padding=-128 out_blocks=4 in_blocks=4 source_in_stride=64 source_pitch=8 weights=624 destination_stride=4
; layer 3: dense
load_11:     LOAD target=PARAMETER dram_address=0x3b00 sram_address=33 run=8 count0=1 count1=1 count2=1
; layer 1: conv2
matrix_6:    MATRIX after vector_2 kernel_height=3 kernel_width=3 out_height=1 out_width=4 stride_y=2 stride_x=2 dilation_y=1 dilation_x=1 origin_y=1 origin_x=-1 height=8 width=8 padding=-128 out_blocks=4 in_blocks=4 source_in_stride=64 source_pitch=8 weights=48 destination=256 destination_stride=4
vector_5:    VECTOR after matrix_5 kernel_height=1 kernel_width=1 out_height=1 out_width=4 stride_y=1 stride_x=1 height=1 width=4 groups=8 source_kind=ACCUMULATOR source_stride=4 source_pitch=4 destination=320 destination_stride=16 destination_pitch=4 parameters=20
matrix_7:    MATRIX after vector_3 kernel_height=3 kernel_width=3 out_height=1 out_width=4 stride_y=2 stride_x=2 dilation_y=1 dilation_x=1 origin_y=1 origin_x=-1 height=8 width=8 padding=-128 out_blocks=4 in_blocks=4 source_in_stride=64 source_pitch=8 weights=624 destination=512 destination_stride=4
vector_6:    VECTOR after matrix_6 kernel_height=1 kernel_width=1 out_height=1 out_width=4 stride_y=1 stride_x=1 height=1 width=4 groups=8 source_kind=ACCUMULATOR source=256 source_stride=4 source_pitch=4 destination=260 destination_stride=16 destination_pitch=4 parameters=10
matrix_8:    MATRIX after vector_4 kernel_height=3 kernel_width=3 out_height=1 out_width=4 stride_y=2 stride_x=2 dilation_y=1 dilation_x=1 origin_y=3 origin_x=-1 height=8 width=8 padding=-128 out_blocks=4 in_blocks=4 source_in_stride=64 source_pitch=8 weights=48 destination=768 destination_stride=4
vector_7:    VECTOR after matrix_7 kernel_height=1 kernel_width=1 out_height=1 out_width=4 stride_y=1 stride_x=1 height=1 width=4 groups=8 source_kind=ACCUMULATOR source=512 source_stride=4 source_pitch=4 destination=324 destination_stride=16 destination_pitch=4 parameters=20
matrix_9:    MATRIX after vector_5 kernel_height=3 kernel_width=3 out_height=1 out_width=4 stride_y=2 stride_x=2 dilation_y=1 dilation_x=1 origin_y=3 origin_x=-1 height=8 width=8 padding=-128 out_blocks=4 in_blocks=4 source_in_stride=64 source_pitch=8 weights=624 destination_stride=4
             VECTOR after matrix_8 kernel_height=1 kernel_width=1 out_height=1 out_width=4 stride_y=1 stride_x=1 height=1 width=4 groups=8 source_kind=ACCUMULATOR source=768 source_stride=4 source_pitch=4 destination=264 destination_stride=16 destination_pitch=4 parameters=10
matrix_10:   MATRIX after vector_6 kernel_height=3 kernel_width=3 out_height=1 out_width=4 stride_y=2 stride_x=2 dilation_y=1 dilation_x=1 origin_y=5 origin_x=-1 height=8 width=8 padding=-128 out_blocks=4 in_blocks=4 source_in_stride=64 source_pitch=8 weights=48 destination=256 destination_stride=4
             VECTOR after matrix_9 kernel_height=1 kernel_width=1 out_height=1 out_width=4 stride_y=1 stride_x=1 height=1 width=4 groups=8 source_kind=ACCUMULATOR source_stride=4 source_pitch=4 destination=328 destination_stride=16 destination_pitch=4 parameters=20
matrix_11:   MATRIX after vector_7 kernel_height=3 kernel_width=3 out_height=1 out_width=4 stride_y=2 stride_x=2 dilation_y=1 dilation_x=1 origin_y=5 origin_x=-1 height=8 width=8 padding=-128 out_blocks=4 in_blocks=4 source_in_stride=64 source_pitch=8 weights=624 destination=512 destination_stride=4
             VECTOR after matrix_10 kernel_height=1 kernel_width=1 out_height=1 out_width=4 stride_y=1 stride_x=1 height=1 width=4 groups=8 source_kind=ACCUMULATOR source=256 source_stride=4 source_pitch=4 destination=268 destination_stride=16 destination_pitch=4 parameters=10
vector_11:   VECTOR after matrix_11 kernel_height=1 kernel_width=1 out_height=1 out_width=4 stride_y=1 stride_x=1 height=1 width=4 groups=8 source_kind=ACCUMULATOR source=512 source_stride=4 source_pitch=4 destination=332 destination_stride=16 destination_pitch=4 parameters=20
; layer 2: pool
vector_12:   VECTOR after load_9, vector_11 kernel_height=2 kernel_width=2 out_height=2 out_width=2 stride_y=2 stride_x=2 dilation_y=1 dilation_x=1 height=4 width=4 padding=-128 groups=16 reduction=MAX uniform=1 source=256 source_stride=16 source_pitch=4 destination_stride=4 destination_pitch=2 parameters=30
; layer 3: dense
matrix_12:   MATRIX after load_10, vector_12 kernel_height=2 kernel_width=2 out_height=1 out_width=1 stride_y=1 stride_x=1 dilation_y=1 dilation_x=1 height=2 width=2 padding=-128 out_blocks=3 in_blocks=8 source_in_stride=4 source_pitch=2 weights=1200 destination=768 destination_stride=1
vector_13:   VECTOR after load_11, matrix_12 kernel_height=1 kernel_width=1 out_height=1 out_width=1 stride_y=1 stride_x=1 height=1 width=1 groups=6 source_kind=ACCUMULATOR source=768 source_stride=1 source_pitch=1 destination=32 destination_stride=1 destination_pitch=1 parameters=33
             STORE after vector_13 dram_address=0x1000 sram_address=32 run=3 count0=1 count1=1 count2=1
             END
