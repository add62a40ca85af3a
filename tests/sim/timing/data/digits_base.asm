; base, config digest f7dcd7f8c15dc432
.memory 24576
.address 0x4000
; layer 0: conv1
             LOAD target=WEIGHT dram_address=0x2000 run=16 count0=1 count1=1 count2=1
load_2:      LOAD sram_address=64 run=24 count0=1 dram_stride0=0x400 sram_stride0=24 count1=1 count2=1
load_3:      LOAD target=PARAMETER dram_address=0x2100 run=2 count0=1 count1=1 count2=1
load_4:      LOAD dram_address=0x180 sram_address=88 run=24 count0=1 dram_stride0=0x400 sram_stride0=24 count1=1 count2=1
matrix_1:    MATRIX after load_2 kernel_height=1 kernel_width=1 out_height=3 out_width=8 stride_y=1 stride_x=1 dilation_y=1 dilation_x=1 height=3 width=8 padding=-128 out_blocks=1 in_blocks=1 source=64 source_in_stride=24 source_pitch=8 destination_stride=24
             VECTOR after load_3, matrix_1 kernel_height=1 kernel_width=1 out_height=3 out_width=8 stride_y=1 stride_x=1 height=3 width=8 groups=1 source_kind=ACCUMULATOR source_stride=24 source_pitch=8 destination_stride=64 destination_pitch=8
load_5:      LOAD after matrix_1 dram_address=0x300 sram_address=64 run=16 count0=1 dram_stride0=0x400 sram_stride0=16 count1=1 count2=1
matrix_2:    MATRIX after load_4 kernel_height=1 kernel_width=1 out_height=3 out_width=8 stride_y=1 stride_x=1 dilation_y=1 dilation_x=1 height=3 width=8 padding=-128 out_blocks=1 in_blocks=1 source=88 source_in_stride=24 source_pitch=8 destination=512 destination_stride=24
; layer 1: conv2
load_6:      LOAD target=WEIGHT dram_address=0x2200 sram_address=16 run=288 count0=1 count1=1 count2=1
; layer 0: conv1
             VECTOR after matrix_2 kernel_height=1 kernel_width=1 out_height=3 out_width=8 stride_y=1 stride_x=1 height=3 width=8 groups=1 source_kind=ACCUMULATOR source=512 source_stride=24 source_pitch=8 destination=24 destination_stride=64 destination_pitch=8
matrix_3:    MATRIX after load_5 kernel_height=1 kernel_width=1 out_height=2 out_width=8 stride_y=1 stride_x=1 dilation_y=1 dilation_x=1 height=2 width=8 padding=-128 out_blocks=1 in_blocks=1 source=64 source_in_stride=16 source_pitch=8 destination=1024 destination_stride=16
vector_3:    VECTOR after matrix_3 kernel_height=1 kernel_width=1 out_height=2 out_width=8 stride_y=1 stride_x=1 height=2 width=8 groups=1 source_kind=ACCUMULATOR source=1024 source_stride=16 source_pitch=8 destination=48 destination_stride=64 destination_pitch=8
; layer 1: conv2
load_7:      LOAD target=PARAMETER dram_address=0x3400 sram_address=2 run=3 count0=1 count1=1 count2=1
; layer 2: pool
load_8:      LOAD target=PARAMETER dram_address=0x3580 sram_address=5 run=2 count0=1 count1=1 count2=1
; layer 3: dense
load_9:      LOAD target=WEIGHT dram_address=0x3680 sram_address=304 run=64 count0=1 count1=1 count2=1
; layer 1: conv2
matrix_4:    MATRIX after load_6, vector_3 kernel_height=3 kernel_width=3 out_height=4 out_width=4 stride_y=2 stride_x=2 dilation_y=1 dilation_x=1 origin_y=-1 origin_x=-1 height=8 width=8 padding=-128 out_blocks=2 in_blocks=1 source_in_stride=64 source_pitch=8 weights=16 destination=1536 destination_stride=16
; layer 3: dense
load_10:     LOAD target=WEIGHT dram_address=0x3a80 sram_address=368 run=64 count0=1 count1=1 count2=1
load_11:     LOAD target=PARAMETER dram_address=0x3e80 sram_address=7 run=2 count0=1 count1=1 count2=1
; layer 1: conv2
vector_4:    VECTOR after load_7, matrix_4 kernel_height=1 kernel_width=1 out_height=4 out_width=4 stride_y=1 stride_x=1 height=4 width=4 groups=2 source_kind=ACCUMULATOR source=1536 source_stride=16 source_pitch=4 destination=64 destination_stride=16 destination_pitch=4 parameters=2
; layer 2: pool
vector_5:    VECTOR after load_8, vector_4 kernel_height=2 kernel_width=2 out_height=2 out_width=2 stride_y=2 stride_x=2 dilation_y=1 dilation_x=1 height=4 width=4 padding=-128 groups=2 reduction=MAX uniform=1 source=64 source_stride=16 source_pitch=4 destination_stride=4 destination_pitch=2 parameters=5
; layer 3: dense
             MATRIX after load_9, vector_5 kernel_height=2 kernel_width=2 out_height=1 out_width=1 stride_y=1 stride_x=1 dilation_y=1 dilation_x=1 height=2 width=2 padding=-128 out_blocks=1 in_blocks=1 source_in_stride=4 source_pitch=2 weights=304 destination_stride=1
matrix_6:    MATRIX after load_10 kernel_height=2 kernel_width=2 out_height=1 out_width=1 stride_y=1 stride_x=1 dilation_y=1 dilation_x=1 height=2 width=2 padding=-128 out_blocks=1 in_blocks=1 source=4 source_in_stride=4 source_pitch=2 weights=368 destination_stride=1 accumulate=1
vector_6:    VECTOR after load_11, matrix_6 kernel_height=1 kernel_width=1 out_height=1 out_width=1 stride_y=1 stride_x=1 height=1 width=1 groups=1 source_kind=ACCUMULATOR source_stride=1 source_pitch=1 destination=8 destination_stride=1 destination_pitch=1 parameters=7
             STORE after vector_6 dram_address=0x1000 sram_address=8 run=1 count0=1 count1=1 count2=1
             END
